/** One language of the files of `words`, as `vite.config.ts` cuts it out. */
declare module "virtual:words/*" {
  const messages: import("./words").Messages;
  export default messages;
}
/** One language of one file of `lazy`. */
declare module "virtual:lazy/*" {
  const texts: Readonly<Record<string, string>>;
  export default texts;
}
