import type { NodeId } from "@pullring/core";

import { AdminProblem } from "./admin-problem.ts";
import type { Parameter } from "./call.ts";
import type { RingView } from "./ports.ts";

export const node: Parameter = { name: "node", in: "query", required: false, description: "`self`: this node only" };

export function isSelfOnly(named: string): boolean {
  if (named !== "" && named !== "self") throw new AdminProblem(400, "node is self, or absent for the whole cluster");
  return named === "self";
}

/** Rows of this node, and of another member; the latter rejects when it can't be asked. */
interface RowsView<T> {
  here(): readonly T[] | Promise<readonly T[]>;
  at(node: NodeId): Promise<readonly T[]>;
}

/** What all nodes tell, each row with its node, and who could not be asked. */
export async function togetherOf<T extends object>(
  ring: RingView,
  view: RowsView<T>,
  selfOnly: boolean,
): Promise<{ rows: ({ node: NodeId } & T)[]; missing: NodeId[] }> {
  const others = selfOnly ? [] : ring.nodes().filter(({ id }) => id !== ring.self);
  const asked = others.map(({ id }) =>
    view.at(id).then(
      (rows) => ({ id, rows }),
      () => ({ id, rows: undefined }),
    ),
  );
  const told = [{ id: ring.self, rows: await view.here() }, ...(await Promise.all(asked))];
  return {
    rows: told.flatMap(({ id, rows = [] }) => rows.map((row) => ({ node: id, ...row }))),
    missing: told.filter(({ rows }) => rows === undefined).map(({ id }) => id),
  };
}
