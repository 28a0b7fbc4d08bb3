"""Serve a preference model over HTTP, so that any trainer can ask for rewards.

    POST /score        conversations as messages → a reward, or the reason why there is none, for each
    POST /get_reward   texts, as OpenRLHF's remote reward models take them → rewards
    GET  /health       which model this is, its context, its scale and temperature

`server` listens, `app` answers, `scoring` puts requests that wait at the same time together, `bodies` and
`queries` read what comes in (pure), `access` decides who may ask.

Paper: none.
"""
