"""How large the numbers of a configuration may be: generously, and so that no slip can hang a run.

What these allow may still be too much for a machine; ``footprint`` and ``sizing`` say that.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MOST_CLIENTS = 10**8  # N
MOST_REQUESTS = 10**7  # in flight, all tasks together: sum R
MOST_REPLICATES = 10**6  # of a run, all its settings together
MOST_SETTINGS = 1000  # of a sweep: each is planned before the first is run
MOST_TASKS = 100  # copies written out: each has a panel of its own in the pictures
MOST_EVENTS = 2 * 10**9  # of a replicate: 32 bits number its requests
MOST_SAMPLES = 10**7  # of a client
MOST_EXAMPLES = 10**9  # of a data set
MOST_BATCH = 10**6  # examples of a local step
MOST_LOCAL = 10**6  # passes or steps of one request; fewer than local_train.AUGMENT
MOST_STEPS = 10**7  # local steps of one request, however they are given
MOST_WIDTH = 2**16  # requests trained at once
MOST_DEVICES = 1024
MOST_SIDE_BY_SIDE = 1024  # clients, on one device
MOST_SEED = 2**31 - 1
MOST_CLASSES = 1000  # of devices, by speed
LARGEST = 1e30  # of a rate: float32 ends at 3e38
LONGEST = 1e15  # of a time, simulated or not
SHORTEST = 1e-6  # of a time that comes again and again
LEAST_ON = 1e-6  # of a day, that a client is on
MOST_UNLIKE = 1000  # times that clients are on for longer than off, or off than on
MOST_LOSS = 0.999  # of requests on their way: with 1 nothing would ever arrive

Clients = Annotated[int, Field(ge=1, le=MOST_CLIENTS)]
Requests = Annotated[int, Field(ge=1, le=MOST_REQUESTS)]
Replicates = Annotated[int, Field(ge=1, le=MOST_REPLICATES)]
Tasks = Annotated[int, Field(ge=1, le=MOST_TASKS)]
Events = Annotated[int, Field(ge=1, le=MOST_EVENTS)]
Samples = Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
Examples = Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
BatchSize = Annotated[int, Field(ge=1, le=MOST_BATCH)]
Local = Annotated[int, Field(ge=1, le=MOST_LOCAL)]
Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
Devices = Annotated[int, Field(ge=1, le=MOST_DEVICES)]
SideBySide = Annotated[int, Field(ge=1, le=MOST_SIDE_BY_SIDE)]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Rate = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Value = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Time = Annotated[float, Field(gt=0, le=LONGEST, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, le=LONGEST, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
ShareOn = Annotated[float, Field(ge=LEAST_ON, le=1)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Chance = Annotated[float, Field(ge=0, le=MOST_LOSS)]
Span = Annotated[float, Field(ge=SHORTEST, le=LONGEST)]
