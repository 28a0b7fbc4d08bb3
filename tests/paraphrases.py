"""Answers to one prompt, written for these tests: one, the same said in other words, and another one.

`other` answers the same prompt with other content in words of its own; so it is on the prompt's subject, as
two samples of a model are.
"""

from typing import NamedTuple


class Said(NamedTuple):
    """Three answers to one prompt."""

    answer: str
    paraphrase: str
    other: str


SAID = (
    Said(
        "Water boils at a lower temperature on high mountains because the air pressure is lower there.",
        "At great altitude less atmosphere presses down, so liquids start bubbling before they get as hot.",
        "Use a pressure cooker when you prepare beans at home, and let them soak overnight.",
    ),
    Said(
        "You should call a doctor at once if the fever does not go down.",
        "Should your high body temperature persist, get medical help immediately.",
        "Drink plenty of tea, sleep a lot, and stay away from school until Monday.",
    ),
    Said(
        "I will not help you break into your neighbour's house.",
        "Assisting with a burglary next door is something that I refuse to do.",
        "Talk to the person who lives there and ask for a spare key.",
    ),
    Said(
        "The company lost money last year since fewer customers bought its cars.",
        "Declining vehicle sales left the firm in the red over the past twelve months.",
        "The new chief executive was born in Spain and studied engineering in Munich.",
    ),
    Said(
        "Plants need sunlight to make their own food.",
        "Without solar rays, vegetation cannot produce the nourishment that it lives on.",
        "Put the pot in a larger one in spring, with fresh soil.",
    ),
    Said(
        "My little sister is afraid of big dogs.",
        "Large hounds scare the younger girl in our family.",
        "We bought our puppy at a shelter near the river.",
    ),
    Said(
        "Save a part of your income each month so that you can pay for surprises.",
        "Putting some of your wages aside regularly covers unexpected expenses.",
        "Shares in small firms rise and fall more than government bonds do.",
    ),
    Said(
        "The teacher praised the students for finishing the project early.",
        "Pupils got compliments from their instructor because they completed the assignment ahead of time.",
        "Lessons begin at eight, and the bus leaves from the town hall.",
    ),
    Said(
        "Smoking damages your lungs and shortens your life.",
        "Cigarettes harm the organs you breathe with and make people die sooner.",
        "Tobacco came to Europe with sailors who returned from the Americas.",
    ),
    Said(
        "It rained so hard that the football match had to be stopped.",
        "A downpour forced the referee to abandon the soccer game.",
        "The home side won by two goals in the last ten minutes.",
    ),
    Said(
        "He apologised to his wife for forgetting her birthday.",
        "The husband said sorry that he had not remembered the anniversary of when his spouse was born.",
        "He baked a chocolate cake with cherries and twelve candles.",
    ),
    Said(
        "Do not share your password with anyone, even if they claim to be from the bank.",
        "Keep login secrets to yourself, whoever asks and whatever financial institution they name.",
        "Our branch opens at nine and closes at four, except on holidays.",
    ),
    Said(
        "The movie was too long and the story made no sense.",
        "That film dragged on, with a plot nobody could follow.",
        "The cinema sells popcorn, and parking behind it is free.",
    ),
    Said(
        "Bees are important because they carry pollen from flower to flower.",
        "By transporting pollen between blossoms, these insects do essential work.",
        "A sting hurts less when you cool it with ice.",
    ),
    Said(
        "She moved to the city to find a better job.",
        "Hoping for improved employment, the woman relocated to an urban area.",
        "Her flat has two rooms, a balcony and a noisy lift.",
    ),
    Said(
        "Turn off the lights when you leave the room to save electricity.",
        "Switching lamps off before going out reduces power consumption.",
        "The red lamp shade goes well with the curtains and the carpet.",
    ),
    Said(
        "The law forbids employers to pay women less than men for the same work.",
        "Wage discrimination by gender in equal positions is illegal for businesses.",
        "Parliament sits on Thursdays, and visitors may watch from the gallery.",
    ),
    Said(
        "If you are feeling sad, it can help to talk with a friend.",
        "Conversation with someone close may ease a low mood.",
        "A diary with a lock keeps your notes private from your brothers.",
    ),
    Said(
        "The bridge collapsed because the builders used cheap steel.",
        "Inferior metal chosen by the construction crew made the crossing fall down.",
        "Ferries will cross every hour until a tunnel is opened.",
    ),
    Said(
        "Cats sleep most of the day and hunt at night.",
        "Felines rest during daylight and chase prey after dark.",
        "Brush a long-haired kitten twice a week so that its fur does not mat.",
    ),
)
