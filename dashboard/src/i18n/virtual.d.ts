/** One language of `words.json`, as `vite.config.ts` cuts it out. */
declare module "virtual:words/*" {
  const messages: import("./words").Messages;
  export default messages;
}
