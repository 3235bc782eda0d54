/** Files that the browser makes from what is on the page. */

export function save(name: string, type: string, content: string | Blob): void {
  const url = URL.createObjectURL(typeof content === "string" ? new Blob([content], { type }) : content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

type Value = string | number | boolean | null | undefined;

/** RFC 4180. A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP). */
export function csv(head: readonly string[], rows: readonly (readonly Value[])[]): string {
  const cell = (value: Value) => {
    if (value === null || value === undefined) return "";
    const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A name for the file of something that is called `title`, in any language. */
export function fileName(title: string, suffix: string): string {
  const words = title.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "");
  return `${words.slice(0, 80) || "numbers"}.${suffix}`;
}
