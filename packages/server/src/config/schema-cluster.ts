import { dialKind, listenKind, networkKind } from "./address.ts";
import {
  countKind,
  fileKind,
  flagKind,
  keyPrefixKind,
  nodeKind,
  originKind,
  redisUrlKind,
  ringNameKind,
  secretKind,
  usernameKind,
} from "./names.ts";
import { scalar } from "./scalar.ts";
import { section, someOf } from "./schema-shapes.ts";

/** nginx makes 160 points of each unit, for every node. */
export const weightKind = countKind(1, 100);

const redis = section({
  url: scalar(redisUrlKind).optional().meta({
    description: "One server, or any node of a Redis Cluster; `rediss` is TLS, the path is the database.",
    example: "redis://redis:6379/0",
  }),
  sentinels: someOf(scalar(dialKind))
    .optional()
    .meta({ description: "Sentinels that name the server, instead of `url`.", example: ["sentinel-1:26379"] }),
  master: scalar(keyPrefixKind).optional().meta({
    description: "What the sentinels call it.",
    unset: "`mymaster`, with `sentinels`",
    example: "mymaster",
  }),
  cluster: scalar(flagKind).prefault(false).meta({ description: "`url` is a Redis Cluster.", example: false }),
  prefix: scalar(keyPrefixKind).prefault("pullring").meta({
    description: "Begins every key and channel: clusters of Pullring that share a Redis need one each.",
    example: "pullring-ci",
  }),
  username: scalar(usernameKind)
    .optional()
    .meta({ description: "ACL user.", unset: "Redis' default user", example: "pullring" }),
  password: scalar(secretKind)
    .optional()
    .meta({ description: "Its password. Either this or `passwordFile`.", example: "SECRET" }),
  passwordFile: scalar(fileKind)
    .optional()
    .meta({ description: "File that holds it. Re-read when it changes.", example: "/run/secrets/redis" }),
  sentinelUsername: scalar(usernameKind)
    .optional()
    .meta({ description: "ACL user at the sentinels.", unset: "their default user", example: "pullring" }),
  sentinelPassword: scalar(secretKind)
    .optional()
    .meta({ description: "Its password. Either this or `sentinelPasswordFile`.", example: "SECRET" }),
  sentinelPasswordFile: scalar(fileKind)
    .optional()
    .meta({ description: "File that holds it. Re-read when it changes.", example: "/run/secrets/sentinel" }),
  tls: section({
    ca: scalar(fileKind).optional().meta({
      description: "PEM file of the authorities to trust instead of the system's. Re-read when it changes.",
      example: "/etc/pullring/redis-ca.pem",
    }),
    cert: scalar(fileKind).optional().meta({
      description: "PEM file of a certificate to present. Re-read when it changes.",
      example: "/etc/pullring/redis.crt",
    }),
    key: scalar(fileKind).optional().meta({
      description: "PEM file of its private key. Re-read when it changes.",
      example: "/etc/pullring/redis.key",
    }),
  })
    .optional()
    .meta({ description: "For a `rediss` url; with `sentinels` it turns TLS on, for them too.", unset: "no TLS" }),
});

const member = section({
  id: scalar(nodeKind).meta({ description: "Its `node.id`.", example: "n1" }),
  url: scalar(originKind).meta({ description: "Where its peer listener is reached.", example: "http://n1:5002" }),
  ringName: scalar(ringNameKind).optional().meta({
    description: "Its `node.ringName`.",
    unset: "its id",
    example: "n1:5000",
  }),
  weight: scalar(weightKind).prefault(1).meta({ description: "Its `node.weight`.", example: 1 }),
});

const peer = section({
  listen: scalar(listenKind).prefault("0.0.0.0:5002").meta({
    description: "Where other nodes reach this one. Clients have no business there.",
    example: "10.0.0.7:5002",
  }),
  url: scalar(originKind).optional().meta({
    description: "What other nodes are told to dial.",
    unset: "`http://<node.id>:<peer port>`, `https` with `tls`; its own entry where there are `members`",
    example: "http://n1:5002",
  }),
  allow: someOf(scalar(networkKind))
    .optional()
    .meta({
      description: "Networks that peers are in: others are neither dialled nor answered.",
      unset: "anywhere",
      example: ["10.0.0.0/8"],
    }),
  secret: scalar(secretKind).optional().meta({
    description: "What all nodes know and strangers don't; it never travels. Either this or `secretFile`.",
    example: "SECRET",
  }),
  secretFile: scalar(fileKind)
    .optional()
    .meta({ description: "File that holds it. Re-read when it changes.", example: "/run/secrets/peers" }),
  tls: section({
    ca: scalar(fileKind).meta({
      description: "PEM file of the authorities of all nodes' certificates. Re-read when it changes.",
      example: "/etc/pullring/peers-ca.pem",
    }),
    cert: scalar(fileKind).meta({
      description: "PEM file of this node's certificate, presented as server and as client. Re-read when it changes.",
      example: "/etc/pullring/peer.crt",
    }),
    key: scalar(fileKind).meta({
      description: "PEM file of its private key. Re-read when it changes.",
      example: "/etc/pullring/peer.key",
    }),
  })
    .optional()
    .meta({ description: "Mutual TLS between nodes.", unset: "plain HTTP, signed with the secret" }),
});

export const cluster = section({
  redis: redis
    .optional()
    .meta({ description: "Nodes find each other, and share leases, by this Redis.", unset: "none" }),
  members: someOf(member)
    .optional()
    .meta({ description: "All nodes, this one too, instead of `redis`: then nobody joins without a restart of all." }),
  peer: peer.optional().meta({ description: "How nodes talk to each other. Every cluster needs it.", unset: "none" }),
});
