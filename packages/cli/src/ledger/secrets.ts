import type { Entry, Finding, OfKind, Rule, Run, Verdict } from "./rule.ts";

type Hosts = ReadonlyMap<string, { readonly origin: string; readonly tokenOrigins: readonly string[] }>;

/** Credentials go to the registry and its token servers, as the operator named them, and to nobody whom they redirect to. */
export class CredentialHosts implements Rule {
  readonly promise = 8;
  readonly title = "credentials to their own hosts only";
  readonly #findings: Finding[] = [];
  #known: { readonly run: Run; readonly hosts: Hosts } | undefined;
  #checked = 0;

  see({ line, where, run }: Entry): void {
    if (line.kind === "start") this.#known = { run, hosts: new Map(line.upstreams.map((one) => [one.name, one])) };
    if (line.kind !== "ask" || (!line.credentials && line.request !== "token")) return;
    this.#checked += 1;
    const hosts = this.#known?.run === run ? this.#known.hosts : new Map<string, never>();
    if (!isAllowed(line, hosts))
      this.#findings.push({
        where,
        what: `${line.origin} is none of the hosts of ${line.upstream} for a ${line.request}`,
      });
  }

  finish(): Verdict {
    return { checked: this.#checked, findings: this.#findings };
  }
}

/** A token is asked for at these hosts only, with credentials or without. */
function isAllowed({ upstream, origin, request }: OfKind<"ask">, hosts: Hosts): boolean {
  const known = hosts.get(upstream);
  if (!known) return false;
  return origin === known.origin || (request === "token" && known.tokenOrigins.includes(origin));
}

/** What a secret looks like, wherever it stands. */
const secretTexts: readonly RegExp[] = [
  /\b(?:basic|bearer)\s+[\w.~+/=-]{8,}/i,
  /\beyJ[\w-]{8,}\.[\w-]{4,}/,
  /[?&](?:x-amz-[\w-]+|signature|sig|token|key-pair-id|policy|password)=/i,
  /:\/\/[^/\s"@]*:[^/\s"@]*@/,
  /"(?:authorization|cookie|set-cookie|password|secret|token)":/i,
];

/** The ledger itself holds no secret. */
export class NoSecrets implements Rule {
  readonly promise = 8;
  readonly title = "no secret in the ledger";
  readonly #findings: Finding[] = [];
  #checked = 0;

  see({ text, where }: Entry): void {
    this.#checked += 1;
    const found = secretTexts.find((pattern) => pattern.test(text));
    if (found) this.#findings.push({ where, what: `what looks like a secret (${found.source})` });
  }

  finish(): Verdict {
    return { checked: this.#checked, findings: this.#findings };
  }
}
