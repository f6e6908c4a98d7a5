/** Many accounts in a short time: by phone, because a password is made slow to try. */
import type { Person, World } from './server.ts';

/** The outbox keeps the last 50 codes. */
const AT_ONCE = 20;
let nextPhone = 2_000_000;

export async function signUp(world: World, count: number): Promise<Person[]> {
  const people: Person[] = [];
  for (let n = 0; n < count; n += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - n);
    people.push(...(await Promise.all(Array.from({ length: size }, () => signUpByPhone(world)))));
  }
  return people;
}

async function signUpByPhone(world: World): Promise<Person> {
  const phoneNumber = `+1415${nextPhone++}`;
  await request(world, 'POST', '/api/auth/send-otp', { phoneNumber });
  const { items } = await request<{ items: { to: string; code: string }[] }>(world, 'GET', '/dev/outbox');
  const otp = items.find(({ to }) => to === phoneNumber)?.code;
  const signedIn = await request<Person & { user: Person }>(world, 'POST', '/api/auth/verify-otp', {
    phoneNumber,
    otp,
  });
  const { user, accessToken, refreshToken } = signedIn;
  return { id: user.id, name: user.name, email: '', password: '', accessToken, refreshToken };
}

async function request<T>(world: World, method: string, path: string, body?: object): Promise<T> {
  const answer = await world.request(method, path, { body });
  if (answer.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body.data as T;
}
