/** From a card to where its question is answered in full. */
import { Link } from "@tanstack/react-router";

import { useSpeech } from "../i18n";
import type { CardLink } from "../views/cards";

export function MoreLink({ label, path, search }: CardLink) {
  const { t } = useSpeech();
  return (
    <Link className="more" to={path} search={(before: Record<string, unknown>) => ({ ...before, ...search }) as never}>
      {t(label)} →
    </Link>
  );
}
