import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { test } from "node:test";

import { formatListen, formatNetwork, listenKind, networkKind } from "./address.ts";

const listens: [string, string, number][] = [
  ["0.0.0.0:5000", "0.0.0.0", 5000],
  ["[::]:5000", "::", 5000],
  ["[2001:db8::1]:443", "2001:db8::1", 443],
  ["localhost:0", "localhost", 0],
  ["n1.example.org:65535", "n1.example.org", 65_535],
];

for (const [text, host, port] of listens) {
  test(`${text} can be listened on, and is written as it was read`, () => {
    assert.deepEqual(listenKind.parse(text), { host, port });
    assert.equal(formatListen({ host, port }), text);
  });
}

for (const wrong of [
  5000,
  "5000",
  ":5000",
  "0.0.0.0",
  "0.0.0.0:",
  "0.0.0.0:65536",
  "0.0.0.0:http",
  "256.0.0.1:80",
  "1.2.3:80",
  "::1:80",
  "[1.2.3.4]:80",
  "[::1]",
  "http://a:80",
  "a b:80",
  null,
]) {
  test(`${JSON.stringify(wrong)} can't be listened on`, () => assert.equal(listenKind.parse(wrong), undefined));
}

const networks: [string, string][] = [
  ["10.0.0.0/8", "10.0.0.0/8"],
  ["192.0.2.7", "192.0.2.7/32"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["2001:db8::/32", "2001:db8::/32"],
  ["::1", "::1/128"],
];

for (const [text, whole] of networks) {
  test(`${text} is the network ${whole}, as node:net takes it`, () => {
    const network = networkKind.parse(text);
    assert.ok(network);
    assert.equal(formatNetwork(network), whole);
    const list = new BlockList();
    list.addSubnet(network.address, network.prefixBits, network.family);
    assert.ok(list.check(network.address, network.family));
  });
}

for (const wrong of [
  "10.0.0.0/33",
  "::/129",
  "10.0.0/8",
  "10.0.0.0/",
  "10.0.0.0/-1",
  "10.0.0.0/8/8",
  "fe80::1%eth0",
  "example.org",
  "",
  10,
  null,
]) {
  test(`${JSON.stringify(wrong)} is no network`, () => assert.equal(networkKind.parse(wrong), undefined));
}
