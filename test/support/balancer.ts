/** What stands in front of several nodes: asks each whether it is alive, and says where a connection is to go. */
import type { NetConnectOpts } from 'node:net';

const EVERY_MS = 1_000;
const TIMEOUT_MS = 1_000;

export interface Balancer extends Disposable {
  /** The nodes for somebody whose home is one of them: that first if it answers, then the others that do, then the rest. */
  route(home: number): readonly NetConnectOpts[];
}

export function startBalancer(urls: readonly string[]): Balancer {
  const alive = urls.map(() => true);
  const look = (url: string, node: number): void => {
    fetch(`${url}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(
      (answer) => {
        alive[node] = answer.ok;
        return answer.text();
      },
      () => {
        alive[node] = false;
      },
    );
  };
  const timer = setInterval(() => urls.forEach(look), EVERY_MS);
  const targets = urls.map((url) => ({ host: '127.0.0.1', port: Number(new URL(url).port) }));
  return {
    route(home) {
      const turned = [...targets.keys()].map((n) => (home + n) % targets.length);
      const order = [...turned.filter((n) => alive[n]), ...turned.filter((n) => !alive[n])];
      return order.map((n) => targets[n] as NetConnectOpts);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
