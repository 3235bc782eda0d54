/** A chart's numbers as a table, for readers who do not see it. */
import { useSpeech } from "../i18n";

export type Value = string | number | boolean | null;

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly Value[])[];
}

export function DataTable({ table, label }: { table: Table; label: string }) {
  const { locale } = useSpeech();
  const show = (value: Value) => (value === null ? "–" : typeof value === "number" ? value.toLocaleString(locale, { maximumSignificantDigits: 6 }) : String(value));
  return (
    <div className="scroll table-box" tabIndex={0} role="group" aria-label={label}>
      <table>
        <thead>
          <tr>
            {table.head.map((name, column) => (
              <th key={name} scope="col" className={typeof table.rows[0]?.[column] === "number" ? "number" : ""}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={index}>
              {row.map((value, column) => (
                <td key={column} className={typeof value === "number" ? "number" : ""}>
                  {typeof value === "string" ? <span className="name">{value}</span> : show(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function asJson(table: Table): string {
  return JSON.stringify(table.rows.map((row) => Object.fromEntries(table.head.map((name, column) => [name, row[column]]))), null, 2);
}
