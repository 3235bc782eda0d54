/** A chart's numbers as a table, for readers who do not see it. */
import { useSpeech } from "../i18n";
import type { Head, Table, Value } from "./tables";

/** Of a table that says nothing of its looks: numbers as they are. */
function looks(table: Table, locale: string): NonNullable<Table["shown"]> {
  const show = (value: Value) => (value === null ? "–" : typeof value === "number" ? value.toLocaleString(locale, { maximumSignificantDigits: 6 }) : String(value));
  const head = table.head.map((name, column) => ({ name, isNumber: table.rows.some((row) => typeof row[column] === "number") }));
  return { head, rows: table.rows.map((row) => row.map(show)) };
}

export function DataTable({ table, label }: { table: Table; label: string }) {
  const { locale } = useSpeech();
  const { head, rows, note } = table.shown ?? looks(table, locale);
  const classOf = (each: Head | undefined) => (each?.isNumber === true ? "number" : "");
  return (
    <>
      <div className="scroll table-box as-table" tabIndex={0} role="group" aria-label={label}>
        <table>
          <thead>
            <tr>
              {head.map((each, column) => (
                <th key={column} scope="col" className={classOf(each)}>
                  {each.name}
                  {each.unit !== undefined && each.unit !== "" && <span className="unit"> {each.unit}</span>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, index) => (
              <tr key={index}>
                {row.map((text, column) => (
                  <td key={column} className={classOf(head[column])}>
                    {head[column]?.isNumber === true ? (
                      text
                    ) : (
                      <span className="name" title={text}>
                        {text}
                      </span>
                    )}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {note !== undefined && <p className="hint below">{note}</p>}
    </>
  );
}

export function asJson(table: Table): string {
  return JSON.stringify(table.rows.map((row) => Object.fromEntries(table.head.map((name, column) => [name, row[column]]))), null, 2);
}
