import type { Messages } from "./en";
import { en } from "./en";

export const zh: Messages = en;
