import { Exchanges, isDigest, type Errand } from "./exchanges.ts";
import type { Entry, Finding, Rule, Run, Verdict } from "./rule.ts";

/** How a registry says that it takes no HEAD. */
const refusals: ReadonlySet<number> = new Set([400, 405, 406, 501]);
const facts = ["digest", "type", "size"];

/**
 * HEAD is free and GET is counted: neither a client's HEAD nor the question where a tag points costs a GET, unless the upstream's own
 * answers to HEAD tell too little.
 */
export class FreeHeads implements Rule {
  readonly promise = 4;
  readonly title = "no GET where a HEAD would do";
  readonly #findings: Finding[] = [];
  readonly #exchanges = new Exchanges((errand) => this.#errand(errand));
  /** Upstreams whose HEADs were seen to tell too little, by the run that saw it. */
  #silent: { readonly run: Run | undefined; readonly upstreams: Set<string> } = {
    run: undefined,
    upstreams: new Set(),
  };
  #checked = 0;

  see(entry: Entry): void {
    this.#exchanges.see(entry);
    if (this.#silent.run !== entry.run) this.#silent = { run: entry.run, upstreams: new Set() };
    const { line, where } = entry;
    if (line.kind !== "ask" || line.hop > 0 || (line.request !== "blob_get" && line.request !== "manifest_get")) return;
    this.#checked += 1;
    if (line.request === "manifest_get" && this.#silent.upstreams.has(line.upstream)) return;
    const { reference = "", repository = "", causeId = "" } = line;
    if (line.causeMethod === "HEAD")
      this.#findings.push({ where, what: `the client's HEAD ${causeId} made a GET of ${repository} ${reference}` });
    else if (line.request === "manifest_get" && !isDigest(line.reference))
      this.#findings.push({ where, what: `${repository}:${reference} was asked for by GET, and HEAD tells all there` });
  }

  finish(): Verdict {
    this.#exchanges.finish();
    return { checked: this.#checked, findings: this.#findings };
  }

  #errand({ first, answer }: Errand): void {
    const { request, upstream } = first.line;
    if (request !== "manifest_head" || answer?.status === undefined) return;
    const tellsAll = facts.every((fact) => answer.tells.includes(fact));
    if (refusals.has(answer.status) || (answer.status === 200 && !tellsAll)) this.#silent.upstreams.add(upstream);
  }
}
