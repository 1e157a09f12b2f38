import type { AdminCall, AdminFacts } from "./call.ts";
import { eventAnswer } from "./event-answers.ts";
import { isSelfOnly, node } from "./whole-cluster.ts";

/** Read by `fetch`, which can send the token; `EventSource` can't. */
export const eventsCalls = ({ events }: Pick<AdminFacts, "events">): readonly AdminCall[] => [
  {
    method: "GET",
    path: "/events",
    summary: "What happens: server-sent events, each with its kind as `event` and one JSON document as `data`",
    changes: false,
    parameters: [node],
    type: "text/event-stream",
    answer: eventAnswer,
    open: ({ parameter }) => events.open(isSelfOnly(parameter("node"))),
  },
];
