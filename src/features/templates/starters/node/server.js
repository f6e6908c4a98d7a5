import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 3000);
let visits = 0;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname === '/') {
    visits += 1;
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(page());
  } else if (pathname === '/api/visits') {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ visits }));
  } else {
    response.statusCode = 404;
    response.end('Not found\n');
  }
});

server.listen(port, () => console.log(`Listening on http://localhost:${port}`));

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    server.close();
    server.closeAllConnections();
  });
}

function page() {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Node app</title>
  </head>
  <body>
    <h1>Node app</h1>
    <p>Visited ${visits} times.</p>
    <p>Edit <code>server.js</code> and reload.</p>
  </body>
</html>
`;
}
