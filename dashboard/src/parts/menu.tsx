/** A list that opens below its button, and closes when the focus leaves it or by Escape. */
import { type ReactNode, useRef } from "react";

interface Props {
  readonly label: ReactNode;
  /** Where `label` is a sign rather than a word. */
  readonly name?: string;
  readonly bare?: boolean;
  readonly children: ReactNode;
}

export function Menu({ label, name, bare = false, children }: Props) {
  const box = useRef<HTMLDetailsElement>(null);
  const button = useRef<HTMLElement>(null);
  const close = () => {
    if (box.current !== null) box.current.open = false;
  };
  return (
    <details
      className="menu"
      ref={box}
      onBlur={(event) => event.relatedTarget !== null && !event.currentTarget.contains(event.relatedTarget) && close()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || box.current?.open !== true) return;
        close();
        button.current?.focus();
      }}
      onClick={(event) => event.target instanceof Element && event.target.closest(".menu-items :is(button, a)") !== null && close()}
    >
      <summary ref={button} className={bare ? "button bare" : "button"} aria-label={name}>
        {label}
      </summary>
      <div className="menu-items">{children}</div>
    </details>
  );
}
