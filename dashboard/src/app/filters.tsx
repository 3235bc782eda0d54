/** The filters of a link: a chip for each condition, and a small editor that knows columns and values. */
import { type FormEvent, useState } from "react";

import { CONDITIONS } from "../api/columns";
import { useOffered } from "../api/offered";
import { withUnit } from "../format/numbers";
import { useSpeech } from "../i18n";
import type { Key } from "../i18n/words";
import { type Condition, conditionIn, format, hasOrder, keyed, type Operator, OPERATORS, rowOf, valuesIn, written } from "../state/conditions";
import { conditionsOf, FILTER_NAMES } from "../state/search";
import { useView } from "./view";

const SIGNS: Readonly<Record<Operator, string>> = { "=": "=", "!=": "≠", ">": ">", ">=": "≥", "<": "<", "<=": "≤" };
const NUMBERS = CONDITIONS.filter(({ holds }) => holds === "integer" || holds === "number").map(({ name }) => name);
const OTHERS = CONDITIONS.filter(({ name, holds }) => holds !== "integer" && holds !== "number" && holds !== "time" && !(FILTER_NAMES as readonly string[]).includes(name)).map(({ name }) => name);

export function useFilterLabel(): (name: string) => string {
  const { t } = useSpeech();
  return (name) => {
    const key = rowOf(name)?.label as Key | undefined;
    return key === undefined ? name : t(key);
  };
}

/** What the values of a condition read like. */
function useShown(): (condition: Condition) => string {
  const { t, locale } = useSpeech();
  return ({ name, values }) => {
    const unit = rowOf(name)?.unit;
    return values.map((value) => (value === null ? t("table.none") : unit === undefined ? value : withUnit(Number(value), unit, locale))).join(", ");
  };
}

/** Values that there are for a column, from the range that is shown; behind those that stand in the field already. */
function Offered({ field, typed, id }: { field: string; typed: string; id: string }) {
  const before = typed.slice(0, typed.lastIndexOf(",") + 1);
  const taken = valuesIn(before.slice(0, -1));
  const lead = before === "" ? "" : `${before} `;
  const { t } = useSpeech();
  return (
    <datalist id={id}>
      {useOffered(field)
        .filter((value) => !taken.includes(value))
        .map((value) => (
          <option key={value} value={`${lead}${written(value)}`} />
        ))}
      {!taken.includes(null) && <option value={`${lead}${written(null)}`} label={t("table.none")} />}
    </datalist>
  );
}

function Funnel() {
  return (
    <svg width="15" height="15" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="2" strokeLinejoin="round" aria-hidden="true">
      <path d="M4 5h16l-6.2 7.4V19l-3.6-2v-4.6z" />
    </svg>
  );
}

interface EditorProps {
  /** What is changed; without one, it is added. */
  readonly before?: Condition;
  readonly done: (condition: Condition | null) => void;
}

function Editor({ before, done }: EditorProps) {
  const { t } = useSpeech();
  const label = useFilterLabel();
  const [field, setField] = useState(before?.name ?? "model");
  const [op, setOp] = useState<Operator>(before?.op ?? "=");
  const [typed, setTyped] = useState(before === undefined ? "" : before.values.map(written).join(", "));
  const [wrong, setWrong] = useState(false);
  const isNumber = hasOrder(field);
  const chosen = isNumber || op === "=" || op === "!=" ? op : "=";

  const apply = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const values = chosen === "=" || chosen === "!=" ? valuesIn(typed) : [typed.trim()];
    const condition = conditionIn(...keyed({ name: field, op: chosen, values }));
    const fits = condition !== null && (!isNumber || condition.values.every((value) => value === null || (value !== "" && Number.isFinite(Number(value)))));
    if (fits) done(condition);
    else if (typed.trim() === "" && before === undefined) done(null);
    else setWrong(true);
  };
  const option = (name: string) => (
    <option key={name} value={name}>
      {label(name)}
    </option>
  );
  const hint = field === "tag" ? t("filter.tagHint") : isNumber ? (rowOf(field)?.unit ?? t("filter.number")) : "a, b";
  return (
    <form
      className="row filter-editor"
      onSubmit={apply}
      onKeyDown={(event) => {
        if (event.key === "Escape") done(null);
      }}
    >
      <select
        className="select"
        aria-label={t("filter.field")}
        value={field}
        onChange={({ target: { value } }) => {
          setField(value);
          setOp(["integer", "number"].includes(rowOf(value)?.holds ?? "") && value !== "status_code" ? ">" : "=");
          setWrong(false);
        }}
      >
        <optgroup label={t("filter.words")}>
          {FILTER_NAMES.map(option)}
          {OTHERS.map(option)}
        </optgroup>
        <optgroup label={t("filter.numbers")}>{NUMBERS.filter((name) => name !== "status_code").map(option)}</optgroup>
      </select>
      <select className="select filter-op" aria-label={t("filter.operator")} value={chosen} onChange={(event) => setOp(event.target.value as Operator)}>
        {OPERATORS.filter((each) => isNumber || each === "=" || each === "!=").map((each) => (
          <option key={each} value={each}>
            {SIGNS[each]}
          </option>
        ))}
      </select>
      <input
        className="select"
        name="value"
        list={isNumber && field !== "status_code" ? undefined : "filter-values"}
        inputMode={isNumber ? "decimal" : "text"}
        aria-label={t("filter.value")}
        aria-invalid={wrong}
        placeholder={hint}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setWrong(false);
        }}
        autoFocus
        autoComplete="off"
      />
      {!(isNumber && field !== "status_code") && <Offered field={field} typed={typed} id="filter-values" />}
      <button type="submit" className="button primary">
        {t("range.apply")}
      </button>
      <button type="button" className="button bare" onClick={() => done(null)}>
        {t("request.close")}
      </button>
      {wrong && <span role="alert">{t("filter.wrong", { name: label(field) })}</span>}
    </form>
  );
}

/** A button for the bar; and below it, where there are any, the filters that are set. */
export function Filters() {
  const { t } = useSpeech();
  const { search, change } = useView();
  const label = useFilterLabel();
  const shown = useShown();
  const [open, setOpen] = useState<"no" | "new" | Condition>("no");
  const chosen = conditionsOf(search);

  const done = (condition: Condition | null) => {
    if (condition !== null) {
      const [key, value] = keyed(condition);
      change({ ...(typeof open === "string" ? {} : { [keyed(open)[0]]: undefined }), [key]: value });
    }
    setOpen("no");
  };

  const button = (
    <button type="button" id="add-filter" className="button bare iconed" aria-keyshortcuts="/" aria-expanded={open === "new"} onClick={() => setOpen("new")}>
      <Funnel />
      <span>{t("filter.add")}</span>
    </button>
  );
  if (chosen.length === 0 && open === "no") return button;
  return (
    <>
      {button}
      <div className="chips">
        {chosen.map((condition) => {
          const [name, value] = [label(condition.name), shown(condition)];
          return (
            <span className="chip" key={format(condition)}>
              <button type="button" className="chip-text" aria-label={`${t("filter.change", { name })}: ${SIGNS[condition.op]} ${value}`} onClick={() => setOpen(condition)}>
                <span>{name}</span>
                {condition.op !== "=" && <span className="chip-op">{SIGNS[condition.op]}</span>}
                <b title={value}>{value}</b>
              </button>
              <button type="button" aria-label={t("filter.remove", { name, value })} onClick={() => change({ [keyed(condition)[0]]: undefined })}>
                ×
              </button>
            </span>
          );
        })}
        {open !== "no" && <Editor key={open === "new" ? "new" : format(open)} {...(open === "new" ? {} : { before: open })} done={done} />}
        {chosen.length > 1 && (
          <button type="button" className="button bare" onClick={() => change(Object.fromEntries(chosen.map((condition) => [keyed(condition)[0], undefined])))}>
            {t("filter.clear")}
          </button>
        )}
      </div>
    </>
  );
}
