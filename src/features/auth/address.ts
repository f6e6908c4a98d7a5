/** What is kept of a client's address, and what is counted by it. */
import { isIPv4, isIPv6 } from 'node:net';

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** The network only: an IPv4 address without its last byte, an IPv6 address's first 48 bits. Empty for anything else. */
export function truncateIp(ip: string): string {
  const address = MAPPED.exec(ip)?.[1] ?? ip;
  if (isIPv4(address)) return `${address.split('.').slice(0, 3).join('.')}.0`;
  return isIPv6(address) ? `${groupsOf(address).slice(0, 3).join(':')}::` : '';
}

/** What limits per address count by: an IPv4 address, or the first 64 bits of an IPv6 address, since one client has them all. */
export function addressKey(ip: string): string {
  const address = MAPPED.exec(ip)?.[1] ?? ip;
  return isIPv6(address) ? `${groupsOf(address).slice(0, 4).join(':')}::` : address;
}

/** The eight groups of an IPv6 address, without leading zeros. */
function groupsOf(address: string): string[] {
  const [head = '', tail] = (address.split('%')[0] ?? '').toLowerCase().split('::');
  const left = head.split(':').filter(Boolean);
  const right = (tail ?? '').split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  return [...left, ...Array<string>(zeros).fill('0'), ...right].map((group) => group.replace(/^0+(?=.)/, ''));
}
