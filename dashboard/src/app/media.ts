/** Whether the page is narrow. */
import { useEffect, useState } from "react";

/** At most so many pixels; without a number, as narrow as a telephone is in `styles/frame/phone.css`. */
export function useNarrow(mostPx = 860): boolean {
  const query = `(max-width: ${mostPx}px)`;
  const [narrow, setNarrow] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const follow = () => setNarrow(list.matches);
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, [query]);
  return narrow;
}
