import type { Upstream } from "../config/index.ts";
import { fail, ok, reasonOf, warn, type Check, type Finding } from "./finding.ts";
import type { RegistryProbe } from "./registry-probe.ts";

export interface UpstreamCheckOptions {
  readonly upstream: Upstream;
  /** Name of the account that is tried; absent = nobody's. */
  readonly account?: string;
  readonly probe: () => Promise<RegistryProbe>;
}

/** The registry answers as registries do, and takes the login. */
export function upstreamCheck({ upstream, account, probe }: UpstreamCheckOptions): Check {
  const { name, url } = upstream;
  return {
    name: account === undefined ? `upstream ${name}` : `account ${account}`,
    async run() {
      if (upstream.offline) return ok(`${name} is set to be offline: nothing is asked`);
      try {
        return judge(await probe(), { name, host: url.host, account });
      } catch (error) {
        return fail(
          `${url.host} can't be asked: ${reasonOf(error)}`,
          /CERT|SIGNATURE|ISSUER/.test(reasonOf(error))
            ? `its certificate is of an authority that is unknown here: upstreams."${name}".ca names a file with it`
            : "outgoing connections to this host must be allowed; a proxy is named in egress (HTTPS_PROXY is not read)",
        );
      }
    },
  };
}

function judge(
  probe: RegistryProbe,
  { name, host, account }: { name: string; host: string; account: string | undefined },
): Finding {
  const { ping, realmOrigin, token } = probe;
  const told = `${host} answers ${ping.status} to /v2/`;
  if (ping.status === 429 || token?.status === 429)
    return fail(`${host} answers 429: this address asks too much`, "wait; then see which client asks past the mirror");
  if (ping.status >= 500) return fail(told, "the registry itself fails; cached images are served meanwhile");
  if (ping.status !== 200 && ping.status !== 401)
    return fail(told, `no registry answers so: upstreams."${name}".url may name something else`);
  if (realmOrigin !== undefined && !token)
    return fail(
      `${host} sends for tokens to ${realmOrigin}, which is not among its token origins`,
      `if that is right: upstreams."${name}".tokenOrigins: ["${realmOrigin}"]`,
    );
  if (account === undefined) return ok(`${host} answers${token ? `, ${new URL(realmOrigin ?? "").host} as well` : ""}`);
  return judgeLogin(probe, { host, account });
}

function judgeLogin({ ping, token }: RegistryProbe, { host, account }: { host: string; account: string }): Finding {
  const { status } = token ?? ping;
  if (status === 200) return ok(`${host} takes the login of ${account}`);
  if (status === 401)
    return fail(
      `${host} refuses the login of ${account}`,
      "look at its username and passwordFile; Docker Hub wants an access token where two-factor login is on",
    );
  return warn(`${host} answers ${status} to the login of ${account}`, "try it by hand: docker login");
}
