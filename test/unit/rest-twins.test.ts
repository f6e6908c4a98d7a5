import { expect, test } from 'vitest';
import { z } from 'zod';
import { contract } from '../../src/features/registry.ts';
import { operation, type HttpBinding } from '../../src/protocol/index.ts';
import { twinsOf } from '../../src/rest/twins.ts';

const withRoute = (http: HttpBinding) =>
  operation({ input: z.strictObject({}), output: z.object({}), auth: 'user', rate: 'reads', http, doc: 'For tests.' });

test('every route and alias has its twin, once', () => {
  const routes = Object.values(contract).flatMap((definition) => {
    const { http } = definition as { http?: HttpBinding };
    return [http?.route, http?.alias].filter((route) => route !== undefined);
  });
  const twins = twinsOf(contract).map(({ method, path }) => `${method} ${path}`);
  expect(twins.toSorted()).toEqual(routes.toSorted());
});

test('a fixed part comes before a parameter', () => {
  const twins = twinsOf({
    a: withRoute({ route: 'GET /api/x/:id' }),
    b: withRoute({ route: 'GET /api/x/search' }),
    c: withRoute({ route: 'GET /api/:kind/zoo' }),
  });
  expect(twins.map(({ path }) => path)).toEqual(['/api/x/search', '/api/x/:id', '/api/:kind/zoo']);
});

test('two operations cannot have one route', () => {
  const clash = {
    a: withRoute({ route: 'GET /api/x/:id' }),
    b: withRoute({ route: 'POST /api/x', alias: 'GET /api/x/:other' }),
  };
  expect(() => twinsOf(clash)).toThrow('claimed by a and b');
});

test('each parameter of a path is a field of the input', () => {
  const missing = twinsOf(contract).flatMap(({ name, parameters, operation }) =>
    parameters.filter((field) => !(field in operation.input.shape)).map((field) => `${name} ${field}`),
  );
  expect(missing).toEqual([]);
});

test('each field that is a bearer token is one of the input', () => {
  const wrong = twinsOf(contract).filter(
    ({ http, operation }) => http.bearer && !(http.bearer in operation.input.shape),
  );
  expect(wrong).toEqual([]);
});

test('a streaming operation gives a streamId', () => {
  const wrong = twinsOf(contract).filter(
    ({ http, operation }) => http.stream && !('streamId' in (operation.output as z.ZodObject).shape),
  );
  expect(wrong).toEqual([]);
});
