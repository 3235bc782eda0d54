/** The day on which weeks begin where a language is spoken, as the API names it. Pure. */

export const WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] as const;
export type Weekday = (typeof WEEKDAYS)[number];

interface Week {
  readonly firstDay: number;
}
type Told = Intl.Locale & { readonly weekInfo?: Week; getWeekInfo?: () => Week };

/** Some browsers do not tell: then Monday, as ISO 8601 has it. */
export function weekStart(locale: string): Weekday {
  const told = new Intl.Locale(locale).maximize() as Told;
  const day = (told.getWeekInfo?.() ?? told.weekInfo)?.firstDay ?? 1;
  return WEEKDAYS[(day + 6) % 7] ?? "monday";
}

/** Days of the week, 1 for Monday to 7, in the order in which a reader expects them. */
export function daysFrom(start: Weekday): readonly number[] {
  const first = WEEKDAYS.indexOf(start);
  return WEEKDAYS.map((_, day) => ((first + day) % 7) + 1);
}
