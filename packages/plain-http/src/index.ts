export { makePlainDispatcher, type PlainDispatcher, type PlainDispatcherOptions } from "./plain-dispatcher.ts";
export { makeTap, type Tap } from "./tap.ts";
