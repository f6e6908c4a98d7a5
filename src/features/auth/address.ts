/** What limits per address count by. */
import { ipv6Groups } from '../../observability/truncate-ip.ts';

/** An IPv4 address, or the first 64 bits of an IPv6 address, since one client has all that follow. */
export function addressKey(ip: string): string {
  const groups = ipv6Groups(ip);
  if (!groups) return ip;
  // An IPv4 address in IPv6's form is one client, not all of IPv4.
  const isV4 = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return (isV4 ? groups : groups.slice(0, 4)).map((group) => group.toString(16)).join(':');
}
