import assert from "node:assert/strict";
import { test } from "node:test";

import { makeAddressGuard } from "./addresses.ts";

const guard = makeAddressGuard();

const refused = [
  "0.0.0.0",
  "0.1.2.3",
  "10.0.0.1",
  "100.64.0.1",
  "100.100.100.200",
  "127.0.0.1",
  "127.255.255.254",
  "168.63.129.16",
  "169.254.169.254",
  "169.254.170.2",
  "172.16.0.1",
  "172.31.255.255",
  "192.0.0.1",
  "192.168.1.1",
  "198.18.0.1",
  "198.19.255.255",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::127.0.0.1",
  "::ffff:127.0.0.1",
  "::ffff:a9fe:a9fe",
  "::ffff:8.8.8.8",
  "64:ff9b::a9fe:a9fe",
  "64:ff9b:1::1",
  "2002:7f00:1::",
  "2001::1",
  "fc00::1",
  "fd00:ec2::254",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "ff02::1",
  "",
  "registry.example.org",
];

test("private, local, metadata and tunnelled addresses are refused", () => {
  for (const address of refused) assert.equal(guard.refusesAddress(address), true, address);
});

test("public addresses are not", () => {
  for (const address of [
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "172.32.0.1",
    "100.128.0.1",
    "198.20.0.1",
    "2606:4700::1",
  ])
    assert.equal(guard.refusesAddress(address), false, address);
});

test("names that only mean something inside are refused before they are looked up", () => {
  const inside = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "metadata",
    "metadata.google.internal",
    "x.internal",
    "kubernetes.default",
    "kubernetes.default.svc.cluster.local",
  ];
  for (const host of inside) assert.equal(guard.refusesHost(host), true, host);
  for (const host of ["cdn.example.org", "internal.example.org", "metadatas.example.org", "localhost.example.org"])
    assert.equal(guard.refusesHost(host), false, host);
});

test("every spelling of an address that a URL allows is the same address", () => {
  const urls = [
    "http://0x7f.1/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://[::ffff:169.254.169.254]/",
    "http://127.1/",
  ];
  for (const url of urls) assert.equal(guard.refusesHost(new URL(url).hostname), true, url);
});
