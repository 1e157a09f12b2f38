/** IEEE 802.3, reflected. The unfinished state is needed too, because nginx goes on from one. */
const polynomial = 0xed_b8_83_20;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
  return value;
});

export const crcStart = 0xff_ff_ff_ff;

export const crcByte = (state: number, byte: number): number =>
  ((table[(state ^ byte) & 0xff] ?? 0) ^ (state >>> 8)) >>> 0;

/** Goes on with the text's UTF-8 bytes. */
export function crcText(state: number, text: string): number {
  let next = state;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return crcBytes(state, encoder.encode(text));
    next = crcByte(next, code);
  }
  return next;
}

function crcBytes(state: number, bytes: Uint8Array): number {
  let next = state;
  for (const byte of bytes) next = crcByte(next, byte);
  return next;
}

const encoder = new TextEncoder();

export const crcFinish = (state: number): number => (state ^ 0xff_ff_ff_ff) >>> 0;

export const crc32 = (text: string): number => crcFinish(crcText(crcStart, text));
