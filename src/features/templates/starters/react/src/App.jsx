import { useState } from 'react';

export function App() {
  const [count, setCount] = useState(0);

  return (
    <main>
      <h1>React app</h1>
      <button type="button" onClick={() => setCount(count + 1)}>
        Clicked {count} times
      </button>
      <p>
        Edit <code>src/App.jsx</code> and see it change.
      </p>
    </main>
  );
}
