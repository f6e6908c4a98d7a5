/** People as others see them, and one's own profile. */
import { z } from 'zod';
import { givenName, Id, operation, Time } from '../../protocol/index.ts';

export const User = z
  .object({ id: Id, name: z.string(), username: z.string().optional(), avatarUrl: z.string() })
  .meta({ id: 'User' });
export type User = z.output<typeof User>;

export const Name = givenName(1, 80);
export const Username = z
  .string()
  .trim()
  .toLowerCase()
  .regex(/^[a-z0-9][a-z0-9_.-]{2,31}$/, 'must be 3 to 32 of a-z, 0-9, _ . - and begin with a letter or digit');

export const Profile = User.extend({
  email: z.string().optional(),
  phoneNumber: z.string().optional(),
  findable: z.boolean().meta({ description: 'Whether the complete phone number or e-mail address finds one' }),
  role: z.enum(['user', 'admin']).meta({ description: 'In the whole server' }),
  createdAt: Time,
}).meta({ id: 'Profile' });
export type Profile = z.output<typeof Profile>;

export const usersContract = {
  'user:search': operation({
    input: z.strictObject({ query: z.string().trim().min(1).max(100) }),
    output: z.object({ items: z.array(User) }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/users/search' },
    doc: 'At most 20 users: name and username by prefix (two characters or more), phone number and e-mail only when complete and not of those who opted out (`findable`).',
  }),
  'user:get': operation({
    input: z.strictObject({ userId: Id }),
    output: z.object({ user: User }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/users/:userId' },
    doc: 'One user as everybody may see them.',
  }),
  'user:profile': operation({
    input: z.strictObject({}),
    output: z.object({ user: Profile }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/users/profile' },
    doc: "The caller's own profile.",
  }),
  'user:update-profile': operation({
    input: z.strictObject({
      name: Name.optional(),
      username: Username.optional(),
      findable: z.boolean().optional(),
    }),
    output: z.object({ user: Profile }),
    auth: 'user',
    rate: 'writes',
    http: { route: 'PUT /api/users/profile' },
    doc: 'Changes name, username, or whether phone number and e-mail address find one; a username that is taken is a conflict.',
  }),
};
