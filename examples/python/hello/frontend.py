import prong
from greeter import Greeter

if __name__ == "__main__":
    with prong.Hub() as hub:                 # of its own; prong.connect() finds the one that runs already
        greeter = hub.spawn(Greeter, replicas=2)
        with hub.subscribe("greeter.>") as events:
            print(greeter.greet("Python"))
            print(events.next(timeout=5).payload)
        print(list(greeter.greet.map(["Ada", "Grace"])))
