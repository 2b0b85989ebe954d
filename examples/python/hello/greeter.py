import prong

class Greeter(prong.Worker):
    @prong.idempotent
    def greet(self, name: str) -> str:
        """Greets somebody."""
        self.post("greeted", {"name": name})
        return f"hello, {name}, from {self.name}"

if __name__ == "__main__":
    Greeter.run()
