import { makeRing, previewRing, type Ring, type RingMember } from "@pullring/hash-ring";
import type * as z from "zod";

import { AdminProblem } from "./admin-problem.ts";
import { drainAnswer, ownerAnswer, previewAnswer, previewBody, ringAnswer } from "./answers.ts";
import type { AdminCall, AdminFacts } from "./call.ts";
import { parseKey } from "./image-key.ts";

type Preview = z.output<typeof previewBody>;

export function ringCalls({ ring: view, names, drainer }: AdminFacts): readonly AdminCall[] {
  return [
    {
      method: "GET",
      path: "/ring",
      summary: "Who is in the cluster, and which part of the keys is whose, as this node sees it",
      changes: false,
      answer: ringAnswer,
      run(): z.output<typeof ringAnswer> {
        const { algorithm, epoch, points, ...ring } = view.ring();
        const shares = ring.shares();
        const nodes = view.nodes().map((node) => {
          const { id, ringName, url, weight, state, lastSeenMs, benched } = node;
          return { id, ringName, url, weight, state, share: shares.get(id) ?? 0, lastSeenMs, benched };
        });
        return { epoch, algorithm, points, self: view.self, nodes };
      },
    },
    {
      method: "GET",
      path: "/ring/owner",
      summary: "Who owns a key, and who follows",
      changes: false,
      parameters: [
        { name: "key", in: "query", required: true, description: "A digest, or upstream/repo:tag as in a pull" },
      ],
      answer: ownerAnswer,
      run({ parameter }): z.output<typeof ownerAnswer> {
        const key = parseKey(parameter("key"), names);
        const ring = view.ring();
        const [owner = view.self, ...next] = ring.successors(key);
        return { key, hash: ring.hash(key), owner, next };
      },
    },
    {
      method: "POST",
      path: "/ring/preview",
      summary: "What a change of nodes would move; it changes nothing",
      changes: false,
      body: previewBody,
      answer: previewAnswer,
      run: ({ body }): z.output<typeof previewAnswer> => {
        const before = view.ring();
        const { moved, nodes } = previewRing(before, changed(before, body as Preview));
        return { moved, nodes: nodes.map(({ id, before, after }) => ({ id, before, after })) };
      },
    },
    ...(["POST", "DELETE"] as const).map((method): AdminCall => {
      const draining = method === "POST";
      return {
        method,
        path: "/nodes/self/drain",
        summary: draining
          ? "Leaves the ring and keeps serving, so that the node can be stopped at no cost"
          : "Comes back into the ring",
        changes: true,
        answer: drainAnswer,
        async run(): Promise<z.output<typeof drainAnswer>> {
          const told = await (draining ? drainer.drain() : drainer.undrain());
          return { node: view.self, draining, told };
        },
      };
    }),
  ];
}

/** The ring after the change; one that is removed and added gets its new weight. */
function changed(before: Ring, { add, remove }: Preview): Ring {
  const members = new Map(before.members.map((member) => [member.id, member]));
  const removed = new Map<string, RingMember>();
  for (const id of remove) {
    const member = members.get(id);
    if (!member) throw new AdminProblem(400, `${id} is not in the ring`);
    removed.set(id, member);
    members.delete(id);
  }
  for (const { id, weight, ringName = removed.get(id)?.ringName ?? id } of add) {
    if (members.has(id)) throw new AdminProblem(400, `${id} is in the ring already: remove it too for a new weight`);
    if ([...members.values()].some((member) => member.ringName === ringName))
      throw new AdminProblem(400, `the ring has a node of the ring name ${ringName} already`);
    members.set(id, { id, ringName, weight });
  }
  if (members.size === 0) throw new AdminProblem(400, "a ring needs a node");
  return makeRing([...members.values()], { algorithm: before.algorithm });
}
