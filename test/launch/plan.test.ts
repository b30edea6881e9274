// From a plan to its normal form: where servers are, where data goes, what is refused and with which words.
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/file.js";
import { quoteWords, splitWords } from "../../src/launch/words.js";
import { prepared, problemOf } from "./support/surroundings.js";

const solver = "run: [{ name: solver, ranks: 2, command: ./solver }]";

describe("words", () => {
  it.each([
    ["./solver settings.json", ["./solver", "settings.json"]],
    [`sh -c 'echo "$HOME"' "a b" c\\ d`, ["sh", "-c", 'echo "$HOME"', "a b", "c d"]],
    ["echo ';' \\> \"&&\"", ["echo", ";", ">", "&&"]],
    ["echo $X/${Y}z '' \"$X\"", ["echo", "1/2z", "", "1"]],
  ])("%s", (text, words) => {
    expect(splitWords(text, { X: "1", Y: "2" })).toEqual({ words });
  });

  it.each([
    ["", "is empty"],
    ["echo 'a", "has a ' that is not closed"],
    ["echo $NOWHERE", "uses $NOWHERE, which is not set"],
    ["echo $(date)", "names no variable"],
    ["./solver && ./other", "has &&, which only a shell knows"],
    ["./solver > log", "has >, which only a shell knows"],
    ["./a; ./b", "has ./a;, which only a shell knows"],
  ])("%s is refused", (text, words) => {
    expect(splitWords(text, {})).toEqual({ problem: expect.stringContaining(words) as string });
  });

  it("are quoted so that they are read as the same", () => {
    const words = ["a", "b c", "it's", "$HOME", "", "x=1"];
    expect(splitWords(quoteWords(words), {})).toEqual({ words });
  });
});

describe("servers", () => {
  it("is one on each node when nothing is said, with the site's data", () => {
    const { plan, map } = prepared(solver);
    expect(map.slotCount).toBe(1);
    expect(plan.data).toBe("/work/weft");
    expect(plan.group).toBe("/work/weft/group");
    const [server] = plan.parts;
    expect(server?.command).toEqual([
      ...["weftline", "serve", "--data", "/work/weft", "--drain", "30000ms", "--until", "clients-gone"],
    ]);
    expect(server?.environment).toMatchObject({
      WEFTLINE_GROUP: "/work/weft/group",
      WEFTLINE_CONFIG: "/work/plan.yaml",
    });
  });

  it("have a directory each where there are several", () => {
    const { plan } = prepared(`servers: { count: 3, data: ./d }\n${solver}`);
    expect(plan.data).toBe("/work/d/{rank}");
    expect(plan.group).toBe("/work/d/group");
    expect(prepared(`servers: { count: 3, data: "./d-{rank}" }\n${solver}`).plan.data).toBe("/work/d-{rank}");
  });

  it("can be one for each network interface of the site, which is one where it lists none", () => {
    const plan = `servers: { perNode: nic }\n${solver}`;
    const environment = { PATH: "", USER: "me" };
    const at = (site: string): number => prepared(plan, { site, assumedNodes: 2, environment }).map.slotCount;
    expect(["frontier", "polaris", "slurm", "pbs", "local"].map(at)).toEqual([8, 4, 2, 2, 2]);
    expect(prepared(plan, { site: "frontier", assumedNodes: 2, environment }).plan.data).toBe("/mnt/bb/me/weft/{rank}");
  });

  it("alone run until they are stopped", () => {
    expect(prepared("servers: { count: 1 }").plan.parts[0]?.command).not.toContain("clients-gone");
  });

  it("inside of a part are its ranks", () => {
    const { plan, map } = prepared(
      "servers: { data: ./d }\nrun: [{ name: a, ranks: 3, command: ./a, servers: inside }]",
    );
    expect(plan.parts.map(({ name }) => name)).toEqual(["a"]);
    expect(map.slotCount).toBe(3);
    expect(plan.parts[0]?.environment["WEFTLINE_DATA"]).toBe("/work/d/{rank}");
  });

  it("can be single ranks of the application", () => {
    const plan =
      "servers: { inside: [0, 3] }\nrun: [{ name: a, ranks: 3, command: ./a }, { name: b, ranks: 2, command: ./b }]";
    const { map } = prepared(plan);
    expect(map.slotCount).toBe(2);
    expect(map.world.map(({ part }) => part.serves)).toEqual([[0], [0]]);
  });

  it("meet where all nodes can see it when their data is each node's own", () => {
    const environment = { PATH: "", NODE_LOCAL: "/local" };
    const plan = `servers: { data: $NODE_LOCAL/weft }\n${solver}`;
    const { plan: read } = prepared(plan, { environment, assumedNodes: 2 });
    expect(read.dataIsNodeLocal).toBe(true);
    expect(read.group).toBe("/work/weftline-JOB/group");
    expect(read.data).toBe("/local/weft/{rank}");
  });
});

describe("a plan that cannot be is refused with its place", () => {
  it.each([
    ["servers: { count: 1, perNode: 1 }", "plan.yaml:1:31: servers.perNode: excludes count"],
    ["servers: { perNode: gpu }", 'plan.yaml:1:21: servers.perNode: "gpu" does not match ^nic$'],
    ["servers: { perNode: 0 }", "plan.yaml:1:21: servers.perNode: 0 is below 1"],
    ["servers: { cuont: 1 }", 'plan.yaml:1:12: servers.cuont: "cuont" is not known here; did you mean "count"?'],
    ["servers: { inside: [a] }", 'plan.yaml:1:21: servers.inside[0]: "a" is not the name of a part'],
    ["servers: { count: 0 }", "has no group"],
    ["servers: { ready: soon }", 'plan.yaml:1:19: servers.ready: "soon" is not understood'],
    ["servers: { nice: 20 }", "servers.nice: 20 is above 19"],
    ["servers: { bind: all }", 'servers.bind: "all"'],
    ["servers: { nice: 19 }\nrun: [{ name: a, command: x, servers: inside }]", "servers.nice: is of servers that"],
    ["run: [{ name: a, command: true }]", "run[0].command: true is not a text or a list"],
    ["run: [{ name: a }]", "must have required property 'command'"],
    ["run: [{ name: a, command: x }, { name: a, command: y }]", 'run[1].name: "a" is there twice'],
    ["run: [{ name: a, command: x, ranks: 1, ranksPerNode: 1 }]", "run[0].ranksPerNode: excludes ranks"],
    ["run: [{ name: a, command: x, ranks: 0 }]", "run[0].ranks: 0 is below 1"],
    ["run: [{ name: server, command: x }]", "the name of the servers themselves"],
    ["run: [{ name: a, command: x, servers: inside, attach: true }]", "cannot attach to it"],
    ["end: { drain: 60s, stageout: x }", 'did you mean "stageOut"?'],
    ["job: { time: 90 }", "job.time: 90 is not a text"],
  ])("%s", (text, words) => {
    expect(problemOf(() => parseConfig("plan.yaml", text))).toContain(words);
  });

  it("whose single servers are ranks that it has not", () => {
    const problem = problemOf(() => prepared(`servers: { inside: [2] }\n${solver}`));
    expect(problem).toContain("servers.inside: names rank 2; the parts have 2 ranks, from 0");
    expect(prepared(`servers: { inside: [1] }\n${solver}`).map.slotCount).toBe(1);
  });

  it("names a variable that is not set", () => {
    const problem = problemOf(() => prepared("servers: { data: $NOWHERE/weft }"));
    expect(problem).toBe(
      'WEFT_CONFIG_INVALID: servers.data: "$NOWHERE/weft" uses $NOWHERE, which is not set | correct servers.data',
    );
  });
});
