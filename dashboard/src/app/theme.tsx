/** Light, dark or terminal; `system` follows the system. Charts read the tokens, so they hear of a change here. */
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { type Theme, THEMES } from "../state/search";

type Drawn = Exclude<Theme, "system">;
interface Themed {
  readonly chosen: Theme;
  readonly drawn: Drawn;
  readonly choose: (theme: Theme) => void;
  /** For a part of the page that looks best in one, unless the reader has chosen another; what comes back ends it. */
  readonly lend: (theme: Drawn) => () => void;
}

const KEPT = "theme";
const DARK = "(prefers-color-scheme: dark)";
const Context = createContext<Themed | null>(null);

export function ThemeOf({ children }: { children: ReactNode }) {
  const [chosen, setChosen] = useState<Theme>(() => THEMES.find((each) => each === localStorage.getItem(KEPT)) ?? "system");
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const list = matchMedia(DARK);
    const follow = () => setDark(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, []);
  const [lent, setLent] = useState<Drawn | null>(null);
  const lend = useCallback((theme: Drawn) => {
    if (localStorage.getItem(KEPT) === null) setLent(theme);
    return () => setLent(null);
  }, []);
  const drawn: Drawn = lent !== null && chosen === "system" ? lent : chosen === "system" ? (dark ? "dark" : "light") : chosen;
  document.documentElement.dataset["theme"] = drawn; // before anything is painted, not in an effect
  const value = useMemo<Themed>(
    () => ({
      chosen,
      drawn,
      choose: (theme) => {
        localStorage.setItem(KEPT, theme);
        setChosen(theme);
      },
      lend,
    }),
    [chosen, drawn, lend],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useTheme(): Themed {
  const value = useContext(Context);
  if (value === null) throw new Error("useTheme outside of <ThemeOf>");
  return value;
}
