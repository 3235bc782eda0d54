/** Whether the page is as narrow as a telephone; the same width as in `styles/frame.css`. */
import { useEffect, useState } from "react";

const NARROW = "(max-width: 860px)";

export function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const list = matchMedia(NARROW);
    const follow = () => setNarrow(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, []);
  return narrow;
}
