import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { parseProxyHeader } from "./proxy-protocol.ts";

const signature = "0d0a0d0a000d0a515549540a";
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

const overV4 = hex(`${signature} 21 11 000c c0000201 0a000001 d903 1388`);
const overV6 = hex(`${signature} 21 21 0024 20010db8000000000000000000000001 ${"00".repeat(15)}01 d903 1388`);

test("the header tells the client's address, IPv4 and IPv6", () => {
  assert.deepEqual(parseProxyHeader(overV4), { kind: "header", length: 28, address: "192.0.2.1" });
  assert.deepEqual(parseProxyHeader(overV6), { kind: "header", length: 52, address: "2001:db8:0:0:0:0:0:1" });
});

test("TLVs belong to the header, the request after it does not", () => {
  const tlv = hex(`${signature} 21 11 0013 c0000201 0a000001 d903 1388 04 0004 aabbccdd`);
  const request = Buffer.from("GET /v2/ HTTP/1.1\r\n");
  assert.deepEqual(parseProxyHeader(Buffer.concat([tlv, request])), {
    kind: "header",
    length: tlv.length,
    address: "192.0.2.1",
  });
});

test("a proxy that speaks for itself, or of no address, is its own client", () => {
  const own = { kind: "header", length: 28, address: undefined };
  assert.deepEqual(parseProxyHeader(hex(`${signature} 20 11 000c c0000201 0a000001 d903 1388`)), own);
  assert.deepEqual(parseProxyHeader(hex(`${signature} 21 00 000c c0000201 0a000001 d903 1388`)), own);
  assert.deepEqual(parseProxyHeader(hex(`${signature} 20 00 0000`)), { ...own, length: 16 });
});

test("bytes of anything else are no header, from the first one that differs", () => {
  for (const text of ["GET /v2/ HTTP/1.1", "\r\nGET", "\r\n\r\n\0\r\nQUIX\n", "PROXY TCP4 192.0.2.1", "\x16\x03\x01"])
    assert.deepEqual(parseProxyHeader(Buffer.from(text, "latin1")), { kind: "none" }, JSON.stringify(text));
});

test("a header that lies is refused", () => {
  const wrong = {
    version: "11 11 000c c0000201 0a000001 d903 1388",
    command: "22 11 000c c0000201 0a000001 d903 1388",
    "shorter than its addresses": "21 11 000b c0000201 0a000001 d903 1388",
    "an IPv4 length for IPv6": "21 21 000c c0000201 0a000001 d903 1388",
    "longer than anybody needs": "21 11 ffff c0000201",
  };
  for (const [name, rest] of Object.entries(wrong))
    assert.deepEqual(parseProxyHeader(hex(signature + rest)), { kind: "invalid" }, name);
});

test("every beginning of a header is a beginning, wherever the network cuts it", () => {
  for (const header of [overV4, overV6])
    for (let length = 0; length < header.length; length++)
      assert.deepEqual(parseProxyHeader(header.subarray(0, length)), { kind: "partial" }, String(length));
});

test("no bytes make the parser throw or read beyond them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, signed) => {
      const input = signed ? Buffer.concat([hex(signature), bytes]) : Buffer.from(bytes);
      const found = parseProxyHeader(input);
      return found.kind !== "header" || found.length <= input.length;
    }),
  );
});
