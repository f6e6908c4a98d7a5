/** Addresses are kept only as networks: enough to tell places apart, too little to tell people apart. */
import { isIPv4, isIPv6 } from 'node:net';

const V4_IN_V6 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The /24 of an IPv4 address, the /48 of an IPv6 one, as `192.0.2.0/24`; `unknown` for anything else. */
export function truncateIp(ip: string): string {
  const v4 = V4_IN_V6.exec(ip)?.[1] ?? ip;
  if (isIPv4(v4)) return `${v4.slice(0, v4.lastIndexOf('.'))}.0/24`;
  const groups = ipv6Groups(ip);
  return groups ? `${shortened(groups.slice(0, 3))}/48` : 'unknown';
}

/** The eight groups of an IPv6 address as numbers; undefined for anything else. */
export function ipv6Groups(ip: string): number[] | undefined {
  const [address = ''] = ip.split('%');
  if (!isIPv6(address)) return undefined;
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((part) => part.toString(16)).join(':'),
  );
  const [head = '', tail] = plain.split('::');
  const before = parse(head);
  const after = parse(tail ?? '');
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after];
}

const parse = (text: string): number[] =>
  text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));

/** The first groups of an address whose other groups are zero. */
function shortened(groups: number[]): string {
  const last = groups.findLastIndex((group) => group !== 0);
  return `${groups
    .slice(0, last + 1)
    .map((group) => group.toString(16))
    .join(':')}::`;
}
