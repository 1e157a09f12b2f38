import { fail, ok, reasonOf, type Check } from "./finding.ts";

export interface DnsCheckOptions {
  readonly upstream: string;
  /** Of the registry and of its token servers. */
  readonly hosts: readonly string[];
  /** Addresses of a name; rejects for one that has none. */
  readonly lookup: (host: string) => Promise<readonly string[]>;
}

export function dnsCheck({ upstream, hosts, lookup }: DnsCheckOptions): Check {
  return {
    name: `names of ${upstream}`,
    async run() {
      const looked = await Promise.allSettled(hosts.map(lookup));
      const lost = looked.flatMap((outcome, at) =>
        outcome.status === "rejected" ? [`${hosts[at]} (${reasonOf(outcome.reason)})`] : [],
      );
      if (lost.length === 0) return ok(hosts.join(", "));
      return fail(
        `no address for ${lost.join(", ")}`,
        "look at /etc/resolv.conf (in a container: of the container), and that the resolver may be reached",
      );
    },
  };
}
