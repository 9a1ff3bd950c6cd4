// Where a module lies that is started, not imported: a thread of a pool or a process. In the checkout
// it is TypeScript, in the installed package the JavaScript that `prepack` made from it.

/**
 * URL of the module that the source calls `name`, relative to `base`, the caller's `import.meta.url`:
 * `moduleUrl("./chunk-worker.ts", import.meta.url)` ends in `.js` where the caller does.
 */
export function moduleUrl(name: `${string}.ts`, base: string): URL {
  return new URL(base.endsWith(".js") ? name.replace(/\.ts$/, ".js") : name, base);
}
