import * as z from "zod";

import { ipKind, listenKind, networkKind, proxyKind } from "./address.ts";
import { durationKind } from "./duration.ts";
import { knownUpstreams } from "./known-upstreams.ts";
import {
  accountKind,
  countKind,
  directoryKind,
  fileKind,
  flagKind,
  hostKind,
  nodeKind,
  originKind,
  ringNameKind,
  secretKind,
  upstreamKind,
  usernameKind,
  wordKind,
} from "./names.ts";
import { isMap } from "./path.ts";
import { imagePatternKind, placePatternKind, repositoryPatternKind, tagPatternKind } from "./pattern.ts";
import { scalar } from "./scalar.ts";
import { cluster, weightKind } from "./schema-cluster.ts";
import { s3 } from "./schema-s3.ts";
import { listOf, section, someOf } from "./schema-shapes.ts";
import { tracing } from "./schema-tracing.ts";
import { sizeKind } from "./size.ts";

const MiB = 1024 * 1024;

const requestsKind = countKind(0, 100_000_000);

const quota = section({
  anonymous: scalar(flagKind)
    .prefault(true)
    .meta({ description: "Whether requests without a login are sent too.", example: false }),
  limit: scalar(requestsKind).prefault(100).meta({
    description: "Counted requests in a window for an address without a login, until the upstream has told.",
    example: 200,
  }),
  window: scalar(durationKind).prefault("6h").meta({ description: "How long a window is, until then.", example: "1h" }),
  reserve: scalar(requestsKind).prefault(0).meta({
    description: "How many of each budget are left to the tags of `priority`.",
    example: 20,
  }),
  priority: listOf(scalar(tagPatternKind))
    .prefault([])
    .meta({ description: "Patterns over `repository:tag` that may use the reserve.", example: ["library/postgres:*"] }),
});

const upstream = section({
  url: scalar(originKind).optional().meta({
    description: "Where the registry is.",
    unset: "`https://<host>`",
    example: "https://registry.example.org:5000",
  }),
  aliases: listOf(scalar(upstreamKind))
    .prefault([])
    .meta({
      description: "Other names of this upstream in requests and here. No name may mean two upstreams.",
      example: ["registry.local"],
    }),
  tokenOrigins: someOf(scalar(originKind))
    .optional()
    .meta({
      description:
        "The only origins, beside that of `url`, that are asked for tokens, whatever a challenge says: credentials go there.",
      unset: "that of `url`",
      example: ["https://auth.example.org"],
    }),
  allowPrivateAddresses: scalar(flagKind).prefault(false).meta({
    description: "Whether redirects may lead to private, loopback and link-local addresses.",
    example: true,
  }),
  ca: scalar(fileKind).optional().meta({
    description:
      "PEM file of the authorities to trust for this upstream instead of the system's. Re-read when it changes.",
    example: "/etc/pullring/registry-ca.pem",
  }),
  maxConnections: scalar(countKind(1, 10_000))
    .prefault(64)
    .meta({ description: "Connections to one origin of this upstream.", example: 16 }),
  maxBandwidth: scalar(sizeKind()).prefault(0).meta({
    description: "Bytes per second for everything from this upstream together; 0 is no cap.",
    example: "50MB",
  }),
  offline: scalar(flagKind)
    .prefault(false)
    .meta({ description: "Nothing is dialled: what is cached is served, the rest fails at once.", example: true }),
  quota: quota.optional().meta({
    description: "It counts requests, and these are the budgets.",
    unset: "none; on `docker.io` its defaults",
  }),
});

/** Entries go over what is known by name, so that one may say nothing but `offline: true`. */
function withKnown(found: unknown, context: z.core.$RefinementCtx): unknown {
  const entries: unknown = found ?? {};
  if (!isMap(entries)) return entries;
  // zod passes over this key in maps without a word.
  if (Object.hasOwn(entries, "__proto__")) {
    context.addIssue({ code: "unrecognized_keys", keys: ["__proto__"], input: { ...entries } });
  }
  const merged = Object.entries({ ...knownUpstreams, ...entries }).map(([host, entry]) => {
    const known = Object.hasOwn(knownUpstreams, host) ? knownUpstreams[host] : {};
    const isEntry = entry === null || isMap(entry);
    return [host, isEntry ? { ...known, ...entry } : entry] as const;
  });
  return Object.fromEntries(merged);
}

const upstreams = z.preprocess(withKnown, z.record(scalar(upstreamKind), upstream)).prefault({});

const account = section({
  name: scalar(accountKind).meta({ description: "Stands in logs, metrics and lane names.", example: "ci" }),
  upstream: scalar(upstreamKind).meta({
    description: "The upstream, or an alias of it, that it logs in to. Nothing else ever sees it.",
    example: "docker.io",
  }),
  username: scalar(usernameKind).meta({ description: "User or robot name there.", example: "acme-ci" }),
  password: scalar(secretKind)
    .optional()
    .meta({ description: "Password or access token. Either this or `passwordFile`.", example: "SECRET" }),
  passwordFile: scalar(fileKind).optional().meta({
    description: "File that holds it; one line end at its end is dropped. Re-read when it changes.",
    example: "/run/secrets/docker-hub",
  }),
  repositories: someOf(scalar(repositoryPatternKind))
    .optional()
    .meta({
      description:
        "Patterns over the upstream's repositories: only this account pulls them, and it pulls nothing else.",
      unset: "every repository that no other account has for itself",
      example: ["acme/**"],
    }),
  limit: scalar(requestsKind).optional().meta({
    description: "Counted requests in a window, until the upstream has told.",
    unset: "that of the upstream's `quota`",
    example: 200,
  }),
  window: scalar(durationKind).optional().meta({
    description: "How long its window is, until then.",
    unset: "that of the upstream's `quota`",
    example: "1h",
  }),
});

const egress = section({
  name: scalar(nodeKind).meta({ description: "Stands in logs, metrics and lane names.", example: "a" }),
  localAddress: scalar(ipKind).optional().meta({
    description: "An address of this machine; a node that can't bind to it does not use this.",
    unset: "the default route",
    example: "203.0.113.10",
  }),
  proxy: scalar(proxyKind).optional().meta({
    description: "An HTTP proxy that takes CONNECT, or a SOCKS5 proxy, instead.",
    unset: "none",
    example: "http://proxy:3128",
  }),
  nodes: someOf(scalar(nodeKind))
    .optional()
    .meta({ description: "Ids of the nodes that use it.", unset: "all", example: ["n1", "n2"] }),
});

const tagRule = section({
  match: scalar(imagePatternKind).meta({
    description: "Pattern over `upstream/repository:tag`.",
    example: "docker.io/library/*:latest",
  }),
  fresh: scalar(durationKind).meta({ description: "`tags.fresh` for these tags.", example: "15s" }),
});

const clientRule = section({
  match: scalar(placePatternKind).meta({
    description: "Pattern over `upstream/repository`.",
    example: "docker.io/acme/**",
  }),
  users: someOf(scalar(usernameKind))
    .optional()
    .meta({ description: "Only these users pull them. Needs `clients.auth`.", unset: "anybody", example: ["ci"] }),
  networks: someOf(scalar(networkKind))
    .optional()
    .meta({
      description: "Only clients from here pull them; with `users`, both must hold.",
      unset: "anywhere",
      example: ["10.1.0.0/16"],
    }),
  deny: scalar(flagKind)
    .prefault(false)
    .meta({ description: "Nobody pulls them. Not together with `users` or `networks`.", example: false }),
});

/** Every key, as people write it. Defaults are written as people would, too, and go through the same checks. */
export const schema = section({
  listen: scalar(listenKind)
    .prefault("0.0.0.0:5000")
    .meta({ description: "Where clients pull. Port 0 takes a free one.", example: "[::]:5000" }),
  tls: section({
    cert: scalar(fileKind).meta({
      description: "PEM file of the certificate and its chain. Re-read when it changes.",
      example: "/etc/pullring/tls.crt",
    }),
    key: scalar(fileKind).meta({
      description: "PEM file of its private key. Re-read when it changes.",
      example: "/etc/pullring/tls.key",
    }),
    clientCa: scalar(fileKind).optional().meta({
      description:
        "PEM file of authorities: clients must then present a certificate of theirs. Re-read when it changes.",
      example: "/etc/pullring/clients-ca.pem",
    }),
  })
    .optional()
    .meta({ description: "HTTPS for clients.", unset: "plain HTTP" }),
  admin: section({
    listen: scalar(listenKind)
      .prefault("127.0.0.1:5001")
      .meta({ description: "Where health, metrics and the admin API are.", example: "127.0.0.1:5001" }),
    token: scalar(secretKind).optional().meta({
      description:
        "What the admin API asks for when something is to be changed, and for everything from another host; without one it refuses both. Either this or `tokenFile`.",
      example: "SECRET",
    }),
    tokenFile: scalar(fileKind)
      .optional()
      .meta({ description: "File that holds it. Re-read when it changes.", example: "/run/secrets/admin" }),
    hosts: listOf(scalar(hostKind))
      .prefault([])
      .meta({
        description: "Names by which the admin API may be asked, beside its address and `localhost`.",
        example: ["pullring.example.org"],
      }),
  }).prefault({}),
  node: section({
    id: scalar(nodeKind).optional().meta({
      description: "This node in logs, lane names and its cluster, where no other has the same.",
      unset: "the host's name",
      example: "n1",
    }),
    ringName: scalar(ringNameKind).optional().meta({
      description: "What the ring hashes for this node: what the load balancer calls it, letter for letter.",
      unset: "`node.id`",
      example: "n1:5000",
    }),
    weight: scalar(weightKind)
      .optional()
      .meta({ description: "Its share of the ring, beside the others'.", unset: "`1`", example: 1 }),
  }).prefault({}),
  default: scalar(upstreamKind)
    .prefault("docker.io")
    .meta({ description: "The upstream of names that mention none.", example: "ghcr.io" }),
  upstreams: upstreams.meta({
    unset: "the registries below",
    description:
      "Registries by host. Those named below work without an entry; an entry may be partial. Nothing else is ever dialled.",
  }),
  accounts: listOf(account).prefault([]).meta({ description: "Logins at upstreams." }),
  egress: someOf(egress)
    .optional()
    .meta({ description: "Ways out of the nodes.", unset: "the default route alone, as `default`" }),
  tags: section({
    fresh: scalar(durationKind)
      .prefault("60s")
      .meta({ description: "How long a tag is served without asking upstream whether it moved.", example: "5m" }),
    staleIfError: scalar(durationKind)
      .prefault("30d")
      .meta({ description: "How old a tag may be when upstream can't be asked.", example: "7d" }),
    refreshHot: scalar(flagKind).prefault(false).meta({
      description:
        "Tags that were asked for twice in their window are asked for upstream, by HEAD, before it ends: whoever asks next does not wait.",
      example: true,
    }),
    rules: listOf(tagRule)
      .prefault([])
      .meta({ description: "Exceptions to `tags.fresh`; the first that matches counts." }),
  }).prefault({}),
  fallback: scalar(wordKind("direct", "hold")).prefault("direct").meta({
    description:
      "When upstream refuses and nothing is cached: `direct` lets clients try the upstream themselves, `hold` tells them to wait.",
    example: "hold",
  }),
  clients: section({
    allow: someOf(scalar(networkKind))
      .prefault(["0.0.0.0/0", "::/0"])
      .meta({ description: "Networks that may connect at all; the default is everybody.", example: ["10.0.0.0/8"] }),
    trustedProxies: listOf(scalar(networkKind))
      .prefault([])
      .meta({ description: "Proxies whose word about the client's address counts.", example: ["10.0.0.5/32"] }),
    auth: section({
      htpasswdFile: scalar(fileKind).meta({
        description: "Users and their bcrypt hashes. Re-read when it changes.",
        example: "/etc/pullring/htpasswd",
      }),
    })
      .optional()
      .meta({ description: "Clients must log in.", unset: "no login" }),
    rules: listOf(clientRule).prefault([]).meta({
      description:
        "Who pulls which repositories. The first that matches decides; where none does, every admitted client pulls.",
    }),
  }).prefault({}),
  storage: section({
    memory: scalar(sizeKind())
      .prefault("256MiB")
      .meta({ description: "For manifests and small blobs.", example: "1GiB" }),
    disk: section({
      path: scalar(directoryKind)
        .prefault("./data")
        .meta({ description: "Directory of its own.", example: "/var/lib/pullring" }),
      size: scalar(sizeKind(MiB)).prefault("20GiB").meta({
        description: "What is kept there at most; what was used least recently goes first.",
        example: "500GiB",
      }),
    }).prefault({}),
    pin: listOf(scalar(imagePatternKind))
      .prefault([])
      .meta({
        description: "Patterns over `upstream/repository:tag` of what is never evicted.",
        example: ["docker.io/library/alpine:*"],
      }),
    s3: s3.optional().meta({ description: "A bucket that all nodes share.", unset: "none" }),
  }).prefault({}),
  cluster: cluster.optional().meta({ description: "Nodes that act as one cache.", unset: "this node is alone" }),
  ledger: section({
    path: scalar(directoryKind).meta({
      description: "Directory for files of this node, one for each start. Kept by whoever switches this on.",
      example: "/var/lib/pullring-ledger",
    }),
  })
    .optional()
    .meta({
      description: "Writes down what goes out, to clients and upstreams, for `pullring ledger check`. Costs CPU.",
      unset: "nothing is written down",
    }),
  tracing: tracing
    .optional()
    .meta({ description: "OpenTelemetry traces of requests, sent to a collector.", unset: "nothing is traced" }),
  log: section({
    level: scalar(wordKind("fatal", "error", "warn", "info", "debug", "trace", "silent"))
      .prefault("info")
      .meta({ description: "The least that is logged.", example: "debug" }),
  }).prefault({}),
});

/** What was configured, each value parsed, under the keys that people write. */
export type Settings = z.output<typeof schema>;
