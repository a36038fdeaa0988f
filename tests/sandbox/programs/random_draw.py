"""Chance with a seed: shuffles, samples, weighted choices, a small simulation."""

import random
import secrets


def simulate(rng, rounds):
    wins = 0
    for _ in range(rounds):
        doors = ["car", "goat", "goat"]
        rng.shuffle(doors)
        pick = rng.randrange(3)
        opened = next(i for i, door in enumerate(doors) if i != pick and door == "goat")
        switched = next(i for i in range(3) if i not in (pick, opened))
        wins += doors[switched] == "car"
    return wins / rounds


def run(seed: int, rounds: int = 500):
    rng = random.Random(seed)
    random.seed(seed)
    deck = list(range(10))
    random.shuffle(deck)
    token = secrets.token_hex(8)
    state = random.getstate()
    before = random.random()
    random.setstate(state)
    return {
        "share": simulate(rng, rounds),
        "deck": deck,
        "again": before == random.random(),
        "sample": rng.sample(range(100), 5),
        "choices": rng.choices("abc", weights=[1, 2, 3], k=6),
        "gauss": round(rng.gauss(0, 1), 6),
        "between": [1 <= random.randint(1, 6) <= 6, 0 <= random.uniform(0, 1) <= 1],
        "token": [len(token), len(secrets.token_urlsafe(16)) > 16, secrets.choice([7]), secrets.randbelow(1)],
        "different": random.SystemRandom().random() != random.SystemRandom().random(),
    }


EXAMPLES = [{"seed": 42}, {"seed": 7, "rounds": 10}]
