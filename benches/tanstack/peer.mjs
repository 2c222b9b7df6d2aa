// TanStack Query at the same messages: one entity with many ids, and a list over them.
//
// Reads lines like `detail 2000` (a path and how many messages) and answers each with the CPU time of
// the process in nanoseconds, garbage collection included. Node is warm when it says `ready`.

import { createInterface } from 'node:readline';
import { QueryClient } from '@tanstack/query-core';

const [entity, ids, bidSteps] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const idOf = (number) => `S${String(number).padStart(5, '0')}USDT`;
const payload = (step) => ({
  bid: `618${String(step % bidSteps).padStart(2, '0')}.63000000`,
  bidSize: '3.788260',
  ask: '61837.64000000',
  askSize: '1.546980',
  sequence: 400900217,
  active: true,
});

function filled() {
  const client = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, gcTime: Infinity } } });
  const list = [];
  for (let number = 0; number < ids; number++) {
    const id = idOf(number);
    client.setQueryData([entity, id], { id, ...payload(0) });
    list.push({ id, ...payload(0) });
  }
  client.setQueryData([entity], list);
  return client;
}

const messages = [];
for (let step = 1; step <= 4; step++) {
  for (let number = 0; number < ids; number++) {
    messages.push(JSON.stringify({ entity, id: idOf(number), payload: payload(step) }));
  }
}

const merge = (old, patch) => (old ? { ...old, ...patch } : old);
const mergeItem = (id, patch) => (old) =>
  Array.isArray(old) ? old.map((item) => (item.id === id ? { ...item, ...patch } : item)) : old;

const paths = {
  detail(client, { entity, id, payload }) {
    client.setQueryData([entity, id], (old) => merge(old, payload));
  },
  list(client, { entity, id, payload }) {
    client.setQueryData([entity, id], (old) => merge(old, payload));
    client.setQueryData([entity], mergeItem(id, payload));
  },
  prefix(client, { entity, id, payload }) {
    client.setQueryData([entity, id], (old) => merge(old, payload));
    client.setQueriesData({ queryKey: [entity] }, mergeItem(id, payload));
  },
};

const client = filled();
let at = 0;

function run(path, count) {
  const apply = paths[path];
  const before = process.cpuUsage();
  for (let done = 0; done < count; done++) {
    apply(client, JSON.parse(messages[at]));
    at = (at + 1) % messages.length;
  }
  const { user, system } = process.cpuUsage(before);
  const { id, payload } = JSON.parse(messages[(at + messages.length - 1) % messages.length]);
  if (client.getQueryData([entity, id]).bid !== payload.bid) throw new Error('the last message is not there');
  return (user + system) * 1000;
}

run('detail', 20000);
run('list', Math.max(20, Math.ceil(200000 / ids)));
run('prefix', Math.max(5, Math.ceil(100000 / ids)));
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [path, count] = line.split(' ');
  console.log(run(path, Number(count)));
}
