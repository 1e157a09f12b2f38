import assert from "node:assert/strict";
import { test } from "node:test";

import { parseTarget } from "@pullring/oci";

import { route, type UpstreamNames } from "./routing.ts";

const names: UpstreamNames = {
  default: "docker.io",
  canonical: new Map(
    Object.entries({
      "docker.io": "docker.io",
      "index.docker.io": "docker.io",
      "ghcr.io": "ghcr.io",
      "reg.test:5000": "reg.test:5000",
      localhost: "localhost",
    }),
  ),
};

function read(raw: string, table = names): string {
  const target = parseTarget(raw);
  assert.ok(target && "path" in target, raw);
  const { upstream, name } = route(target, table);
  return `${upstream} ${name}`;
}

const forms: readonly [raw: string, repository: string][] = [
  ["/v2/alpine/manifests/x", "docker.io library/alpine"],
  ["/v2/acme/app/manifests/x", "docker.io acme/app"],
  ["/v2/library/alpine/manifests/x?ns=docker.io", "docker.io library/alpine"],
  ["/v2/alpine/manifests/x?ns=index.docker.io", "docker.io library/alpine"],
  ["/v2/acme/app/manifests/x?ns=ghcr.io", "ghcr.io acme/app"],
  ["/v2/app/manifests/x?ns=ghcr.io", "ghcr.io app"],
  ["/v2/app/manifests/x?ns=GHCR.IO", "ghcr.io app"],
  ["/v2/ghcr.io/acme/app/manifests/x", "ghcr.io acme/app"],
  ["/v2/docker.io/alpine/manifests/x", "docker.io library/alpine"],
  ["/v2/docker.io/library/alpine/manifests/x?ns=docker.io", "docker.io library/alpine"],
  ["/v2/reg.test:5000/a/manifests/x", "reg.test:5000 a"],
  ["/v2/localhost/a/manifests/x", "localhost a"],
  ["/ghcr.io/v2/acme/app/manifests/x", "ghcr.io acme/app"],
  ["/index.docker.io/v2/alpine/manifests/x", "docker.io library/alpine"],
  ["/ghcr.io/v2/ghcr.io/acme/app/manifests/x?ns=ghcr.io", "ghcr.io acme/app"],
  // A dotted first component that is in no table is a legal repository of an upstream other than Docker Hub.
  ["/ghcr.io/v2/acme.inc/app/manifests/x", "ghcr.io acme.inc/app"],
  ["/v2/foo.bar/manifests/x", "docker.io library/foo.bar"],
];

for (const [raw, repository] of forms) {
  test(`${raw} means ${repository}`, () => assert.equal(read(raw), repository));
}

test("an upstream that is not in the table is NAME_UNKNOWN, however it is named", () => {
  for (const raw of [
    "/v2/a/b/manifests/x?ns=evil.example",
    "/evil.example/v2/a/manifests/x",
    "/v2/evil.example/a/manifests/x",
    "/v2/evil.test:5000/a/manifests/x",
    "/v2/169.254.169.254/latest/manifests/x",
    "/v2/toString/v2/a/manifests/x?ns=toString",
  ])
    assert.throws(() => read(raw), { code: "NAME_UNKNOWN" }, raw);
});

test("forms that disagree are refused, and so are names that are none", () => {
  for (const raw of [
    "/v2/ghcr.io/a/b/manifests/x?ns=docker.io",
    "/ghcr.io/v2/a/b/manifests/x?ns=docker.io",
    "/ghcr.io/v2/docker.io/a/manifests/x",
    "/v2/../../etc/manifests/x",
    "/v2/Alpine/manifests/x",
  ])
    assert.throws(() => read(raw), { code: "NAME_INVALID" }, raw);
});

test("another default gets no library/", () => {
  assert.equal(read("/v2/app/manifests/x", { ...names, default: "ghcr.io" }), "ghcr.io app");
});
