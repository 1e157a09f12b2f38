import assert from "node:assert/strict";
import { test } from "node:test";

import { networks as networksOf, parseAddress, type Networks } from "./networks.ts";

const networks = (cidrs: readonly string[]): Networks =>
  networksOf(
    cidrs.map((cidr) => {
      const [address = "", prefixBits] = cidr.split("/");
      return { address, prefixBits: Number(prefixBits), family: address.includes(":") ? "ipv6" : "ipv4" };
    }),
  );

test("an address belongs to the networks that hold it and to no other", () => {
  const inside = networks(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "2001:dba::1/128"]);
  for (const address of ["10.255.0.1", "192.0.2.7", "2001:db8:ffff::1", "2001:0DBA:0::1"])
    assert.ok(inside.contains(address), address);
  for (const address of ["11.0.0.1", "192.0.2.8", "2001:db9::1", "2001:dba::2", "::1"])
    assert.ok(!inside.contains(address), address);
});

test("an IPv4 client on a dual-stack listener is an IPv4 client", () => {
  assert.ok(networks(["10.0.0.0/8"]).contains("::ffff:10.1.2.3"));
  assert.ok(networks(["::ffff:10.0.0.0/104"]).contains("10.1.2.3"));
  assert.ok(!networks(["::ffff:10.0.0.0/104"]).contains("11.1.2.3"));
});

test("all of IPv6 holds no IPv4 address, and the other way round", () => {
  assert.ok(networks(["::/0"]).contains("2001:db8::1"));
  assert.ok(!networks(["::/0"]).contains("10.0.0.1"));
  assert.ok(!networks(["::/0"]).contains("::ffff:10.0.0.1"));
  assert.ok(networks(["0.0.0.0/0"]).contains("10.0.0.1"));
  assert.ok(!networks(["0.0.0.0/0"]).contains("::1"));
});

test("a link-local client is known by its address, whatever its interface", () => {
  assert.ok(networks(["fe80::/10"]).contains("fe80::1%eth0"));
});

test("what is no address is in no network", () => {
  const everything = networks(["0.0.0.0/0", "::/0"]);
  for (const text of ["", "unknown", "10.0.0", "10.0.0.1:80", "[::1]", "10.0.0.1 ", "010.0.0.1"])
    assert.ok(!everything.contains(text), text);
});

test("an address has one text", () => {
  assert.equal(parseAddress("2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
  assert.equal(parseAddress("::FFFF:0a01:0203"), "10.1.2.3");
  assert.equal(parseAddress("fe80::1%eth0"), "fe80::1");
  assert.equal(parseAddress("nothing"), undefined);
});
