/** New records as the metrics process tells of them, gathered for one drawing at a time. */
import { useEffect, useRef, useState } from "react";

import { prepend, type TailRow } from "../state/tail";
import { address, type Parameters_ } from "./client";

const GATHER_MS = 250; // four drawings a second, however many records come

export interface Tail {
  readonly rows: readonly TailRow[];
  readonly connected: boolean;
  /** How often the stream has begun, or failed to: what is stored is asked for after that, so that nothing lies between. */
  readonly begun: number;
  /** Records that came too fast for the server to tell of each. */
  readonly skipped: number;
}

/** Server-sent events; the browser connects again by itself, from the last record that it saw. */
export function useTail(parameters: Parameters_, running: boolean): Tail {
  const [rows, setRows] = useState<readonly TailRow[]>([]);
  const [connected, setConnected] = useState(false);
  const [skipped, setSkipped] = useState(0);
  const [begun, setBegun] = useState(0);
  const waiting = useRef<TailRow[]>([]);
  const key = JSON.stringify(parameters);

  useEffect(() => {
    if (!running) return undefined; // a reader who paused keeps what is there
    setRows([]);
    setSkipped(0);
    const source = new EventSource(address("/api/v1/live", JSON.parse(key) as Parameters_));
    source.addEventListener("start", () => {
      setConnected(true);
      setBegun((before) => before + 1);
    });
    source.addEventListener("error", () => {
      setConnected(false);
      setBegun((before) => Math.max(1, before));
    });
    source.addEventListener("record", (event: MessageEvent<string>) => waiting.current.push(JSON.parse(event.data) as TailRow));
    source.addEventListener("skipped", (event: MessageEvent<string>) => {
      const { records, arrived } = JSON.parse(event.data) as { records: number | null; arrived: number };
      setSkipped((before) => before + (records ?? arrived));
    });
    const timer = setInterval(() => {
      const arrived = waiting.current;
      if (arrived.length === 0) return;
      waiting.current = [];
      setRows((before) => prepend(before, arrived));
    }, GATHER_MS);
    return () => {
      source.close();
      clearInterval(timer);
      waiting.current = [];
      setConnected(false);
    };
  }, [key, running]);
  return { rows, connected, begun, skipped };
}
