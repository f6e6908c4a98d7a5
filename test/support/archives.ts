/** Zip archives made by hand, with every lie that an archive can tell; honest ones too. */
import { crc32, deflateRawSync } from 'node:zlib';

export interface Archived {
  name: string | Buffer;
  content?: string | Uint8Array;
  /** 8 = deflated (if not given), 0 = stored; anything else is a claim. */
  method?: number;
  /** General purpose flags; UTF-8 names if not given. */
  flags?: number;
  /** Unix mode with its type; none if not given. */
  mode?: number;
  /** What the directory claims instead of the truth. */
  sizeBytes?: number;
  packedBytes?: number;
  crc?: number;
  /** Where the directory says that its content begins. */
  offset?: number;
  extra?: Buffer;
  /** The directory names it, but it has no content of its own. */
  onlyListed?: true;
}

export interface Lies {
  entryCount?: number;
  directoryOffset?: number;
  comment?: Buffer;
  /** A 64-bit end record is looked for there. */
  zip64At?: bigint;
}

export const SYMLINK = 0o120777;
export const REGULAR = 0o100644;
export const FOLDER = 0o040755;

export function archiveOf(files: readonly Archived[], lies: Lies = {}): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const file of files) {
    const name = Buffer.from(file.name);
    const content = Buffer.from(file.content ?? '');
    const method = file.method ?? 8;
    const packed = method === 8 ? deflateRawSync(content) : content;
    const extra = file.extra ?? Buffer.alloc(0);
    const facts = Buffer.alloc(26);
    facts.writeUInt16LE(20, 0);
    facts.writeUInt16LE(file.flags ?? 0x800, 2);
    facts.writeUInt16LE(method, 4);
    facts.writeUInt32LE(0x21 << 16, 6);
    facts.writeUInt32LE(file.crc ?? crc32(content), 10);
    facts.writeUInt32LE(file.packedBytes ?? packed.length, 14);
    facts.writeUInt32LE(file.sizeBytes ?? content.length, 18);
    facts.writeUInt16LE(name.length, 22);
    const inDirectory = Buffer.from(facts);
    inDirectory.writeUInt16LE(extra.length, 24);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(((file.mode ?? 0) << 16) >>> 0, 6);
    tail.writeUInt32LE(file.offset ?? at, 10);
    directory.push(Buffer.from('PK\x01\x02'), Buffer.from([63, 3]), inDirectory, tail, name, extra);
    if (file.onlyListed) continue;
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), facts, name, packed]);
    parts.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const comment = lies.comment ?? Buffer.alloc(0);
  const locator = Buffer.alloc(lies.zip64At === undefined ? 0 : 20);
  if (lies.zip64At !== undefined) {
    locator.write('PK\x06\x07', 'latin1');
    locator.writeBigUInt64LE(lies.zip64At, 8);
    locator.writeUInt32LE(1, 16);
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  const count = lies.entryCount ?? files.length;
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(lies.directoryOffset ?? at, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...parts, list, locator, end, comment]);
}
