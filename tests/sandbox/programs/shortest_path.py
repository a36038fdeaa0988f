"""Dijkstra with heapq, and a topological order."""

import heapq
import math
from collections import defaultdict, deque
from graphlib import CycleError, TopologicalSorter


def dijkstra(graph, start):
    distance = defaultdict(lambda: math.inf, {start: 0})
    before = {}
    queue = [(0, start)]
    while queue:
        so_far, node = heapq.heappop(queue)
        if so_far > distance[node]:
            continue
        for neighbour, cost in graph[node].items():
            if (candidate := so_far + cost) < distance[neighbour]:
                distance[neighbour] = candidate
                before[neighbour] = node
                heapq.heappush(queue, (candidate, neighbour))
    return distance, before


def path(before, end):
    steps = deque([end])
    while steps[0] in before:
        steps.appendleft(before[steps[0]])
    return list(steps)


def run(edges: list, start: str, end: str):
    graph = defaultdict(dict)
    for a, b, cost in edges:
        graph[a][b] = cost
        graph[b].setdefault(a, cost)
    distance, before = dijkstra(graph, start)
    try:
        order = list(TopologicalSorter({b: {a} for a, b, _ in edges}).static_order())
    except CycleError as error:
        order = ["cycle", *sorted(set(error.args[1]))]
    else:
        order.append("done")
    return {"distance": distance[end], "path": path(before, end), "order": order}


EXAMPLES = [
    {"edges": [["a", "b", 4], ["a", "c", 1], ["c", "b", 2], ["b", "d", 5]], "start": "a", "end": "d"},
    {"edges": [["a", "b", 1], ["b", "a", 1]], "start": "a", "end": "b"},
]
