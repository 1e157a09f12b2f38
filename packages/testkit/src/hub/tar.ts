import { type Bytes, bytesOf, concatBytes, zeroBytes } from "./bytes.ts";

const blockBytes = 512;
/** Two zero blocks end an archive. */
const endBytes = 2 * blockBytes;

/** The smallest layer of exact size that is a valid archive; what is smaller is noise. */
export const tarBytesMin = blockBytes + endBytes;

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/** A ustar header of a regular file, or of a directory when the name ends in "/". */
function tarHeader(name: string, size: number, mode: number): Buffer {
  const header = Buffer.alloc(blockBytes);
  header.write(name, 0, 100);
  header.write(octal(mode, 8), 100);
  header.write(octal(0, 8), 108);
  header.write(octal(0, 8), 116);
  // Beyond eleven octal digits GNU's base-256 form is what readers know.
  if (size < 8 ** 11) {
    header.write(octal(size, 12), 124);
  } else {
    header.writeUInt8(0x80, 124);
    header.writeBigUInt64BE(BigInt(size), 128);
  }
  header.write(octal(1_767_225_600, 12), 136);
  header.write(" ".repeat(8), 148);
  header.write(name.endsWith("/") ? "5" : "0", 156);
  header.write("ustar\x0000", 257, "latin1");
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

const padding = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;

/** An archive of these files; a name that ends in "/" is a directory. */
export function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, text] of Object.entries(files)) {
    const bytes = Buffer.from(text);
    parts.push(tarHeader(name, bytes.length, 0o755), bytes, Buffer.alloc(padding(bytes.length)));
  }
  return Buffer.concat([...parts, Buffer.alloc(endBytes)]);
}

/** An archive of exactly `size` bytes that holds one file of noise; readers pass over the zeros behind its end. */
export function tarAround(options: { name: string; size: number; noise: (size: number) => Bytes }): Bytes {
  const room = options.size - tarBytesMin;
  const fileSize = room - (room % blockBytes);
  const rest = options.size - blockBytes - fileSize;
  return concatBytes([bytesOf(tarHeader(options.name, fileSize, 0o644)), options.noise(fileSize), zeroBytes(rest)]);
}
