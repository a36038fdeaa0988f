"""Accounts with custom exceptions, chaining, and try/except/else/finally in every order."""


class BankError(Exception):
    """Any refusal."""


class NotEnough(BankError):
    def __init__(self, wanted, there):
        super().__init__(wanted, there)
        self.wanted = wanted
        self.there = there

    def __str__(self):
        return f"wanted {self.wanted}, there are {self.there}"


class Account:
    interest = 0.0
    __count = 0

    def __init__(self, owner, balance=0):
        self.owner = owner
        self.__balance = balance
        self.log = []
        Account.__count += 1

    @property
    def balance(self):
        return self.__balance

    @balance.setter
    def balance(self, value):
        if value < 0:
            raise NotEnough(self.__balance - value, self.__balance)
        self.__balance = value

    @classmethod
    def count(cls):
        return cls.__count

    def pay(self, amount):
        try:
            self.balance -= amount
        except NotEnough as error:
            self.log.append(f"refused: {error}")
            raise BankError(self.owner) from error
        else:
            self.log.append(f"paid {amount}")
        finally:
            self.log.append(f"balance {self.balance}")
        return self


class Savings(Account):
    interest = 0.05

    def __init__(self, owner, balance=0, *, bonus=0):
        super().__init__(owner, balance + bonus)

    def year(self):
        self.balance += self.balance * self.interest
        return self


def run(payments: list[int]):
    accounts = [Account("ada", 100), Savings("bob", 50, bonus=5).year()]
    failures = []
    for amount in payments:
        for account in accounts:
            try:
                account.pay(amount)
            except BankError as error:
                failures.append([error.args[0], repr(error)])
                if amount > 1000:
                    break
        else:
            continue
        failures.append("stopped")
        break
    try:
        raise RuntimeError("first")
    except RuntimeError:
        try:
            raise KeyError("second") from None
        except KeyError as error:
            last = error.args[0]
    return {"balances": [a.balance for a in accounts], "logs": [a.log for a in accounts], "failures": failures, "last": last,
            "count": Account.count()}


EXAMPLES = [{"payments": [10, 60, 5000, 1]}, {"payments": []}]
