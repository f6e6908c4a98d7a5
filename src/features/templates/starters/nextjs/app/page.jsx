import { Counter } from './counter.jsx';

export default function Page() {
  return (
    <main>
      <h1>Next.js app</h1>
      <Counter />
      <p>
        Edit <code>app/page.jsx</code> and see it change.
      </p>
    </main>
  );
}
