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

// As `export/comma_separated.py` has it; a test holds both against each other.
const BLANK = "\\0-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff";
const STARTS = "=+\\-@\\t\\r\\n\\u2212\\ufe62\\ufe63\\ufe66\\ufe6b\\uff1d\\uff0b\\uff0d\\uff20";
const DANGEROUS = new RegExp(`^[${BLANK}'"]*[${STARTS}]`);
/** A number as it is shown, with a sign. */
const SIGNED = /^[-+\u2212]?[\d.,\s]+$/;
const NEEDS_QUOTES = new RegExp(`[",\\r\\n]|^$|^[${BLANK}]|[${BLANK}]$`);

/** A text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP). */
const harmless = (text: string): string => (DANGEROUS.test(text) ? `'${text}` : text);

/** For pasting into a spreadsheet: cells divided by tabs, so none may hold one. What reads as a number stays one. */
export function tabbed(head: readonly string[], rows: readonly (readonly Value[])[]): string {
  const cell = (value: Value) => {
    const text = value === null || value === undefined ? "" : String(value).replaceAll(/\s/g, " ");
    return typeof value !== "string" || SIGNED.test(text) ? text : harmless(text);
  };
  return [head, ...rows].map((row) => row.map(cell).join("\t")).join("\n") + "\n";
}

/** RFC 4180; an empty text is a pair of quotes, what is missing nothing. */
export function csv(head: readonly string[], rows: readonly (readonly Value[])[]): string {
  const cell = (value: Value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(value);
    const text = harmless(value);
    return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A name for the file of something that is called `title`, in any language. */
export function fileName(title: string, suffix: string): string {
  const words = title.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "");
  return `${words.slice(0, 80) || "numbers"}.${suffix}`;
}
